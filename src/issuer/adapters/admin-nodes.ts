import type * as wire from "../../wire/herald/v1/nodes.ts";
import type { Issuer } from "../issuer.ts";
import { type AdminOptions, unaryHandler } from "./admin-calls.ts";

export interface NodeServiceOptions extends AdminOptions {
  /** Where nodes enrol. */
  readonly enrolmentUrl: string;
}

/** Nodes and their join tokens over the admin API. */
export function nodeService(options: NodeServiceOptions): wire.NodeServiceServer {
  const { issuer, enrolmentUrl } = options;
  const unary = unaryHandler(options);
  return {
    createJoinToken: unary(async (request: wire.CreateJoinTokenRequest, by) => {
      const { nodeName, replaces } = request;
      const labels = Object.fromEntries(request.labels);
      const made = await issuer.createToken({ nodeName, labels, replaces }, by);
      return { joinString: made.joinString, expiresAt: BigInt(made.expires), enrolmentUrl };
    }),
    listNodes: unary(() =>
      Promise.resolve({ nodes: issuer.nodes.list().map((record) => nodeMessage(issuer, record)) }),
    ),
  };
}

function nodeMessage(
  issuer: Issuer,
  record: ReturnType<Issuer["nodes"]["list"]>[number],
): wire.Node {
  const ack = issuer.acknowledgements.newest(record.node);
  return {
    spiffeId: record.node,
    labels: new Map(Object.entries(record.labels)),
    banned: record.banned,
    enrolledAt: BigInt(record.enrolledAt),
    expiresAt: BigInt(record.expiresAt),
    acknowledgedAt: BigInt(ack?.at ?? 0),
    consumers: ack?.consumers.filter((consumer) => consumer.connected).length ?? 0,
    svids: ack?.authorities.reduce((sum, use) => sum + use.svids, 0) ?? 0,
  };
}
