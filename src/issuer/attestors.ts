import { JoinTokens, type JoinTokensOptions } from "./nodes/join-tokens.ts";
import { NodeRecords, type NodeRecordsOptions } from "./nodes/node-records.ts";
import { Nodes, type NodesOptions } from "./nodes/nodes.ts";
import { X509Pop } from "./nodes/x509pop.ts";
import type { AttestorSettings } from "./options.ts";

type Attested = Pick<NodesOptions, "tokens" | "attestors">;

/** The nodes, with the attestors that are switched on. */
export function openNodes(
  options: Omit<NodesOptions, "records" | "tokens" | "attestors"> &
    JoinTokensOptions &
    NodeRecordsOptions & { readonly attestors?: AttestorSettings },
): Nodes {
  return new Nodes({ ...options, records: new NodeRecords(options), ...attestorsOf(options) });
}

/** Each for the requests that prove to it. */
function attestorsOf(
  options: JoinTokensOptions & { readonly attestors?: AttestorSettings },
): Attested {
  const { attestors = { joinToken: true, x509pop: undefined } } = options;
  const tokens = attestors.joinToken ? new JoinTokens(options) : undefined;
  const x509pop =
    attestors.x509pop === undefined ? undefined : new X509Pop({ ...options, ...attestors.x509pop });
  return {
    tokens,
    attestors: {
      ...(tokens === undefined ? {} : { "enrol-request": tokens }),
      ...(x509pop === undefined ? {} : { "x509pop-enrol-request": x509pop }),
    },
  };
}
