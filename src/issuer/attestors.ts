import { JoinTokens, type JoinTokensOptions } from "./join-tokens.ts";
import type { NodesOptions } from "./nodes.ts";
import type { AttestorSettings } from "./options.ts";
import { X509Pop } from "./x509pop.ts";

/** The attestors that are switched on, each for the requests that prove to it. */
export function attestorsOf(
  options: JoinTokensOptions & { readonly attestors?: AttestorSettings },
): Pick<NodesOptions, "tokens" | "attestors"> {
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
