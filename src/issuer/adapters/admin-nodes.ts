import type { Operator } from "../../core/envelope/audit-payloads.ts";
import type { NodeRecordState } from "../../core/envelope/payloads.ts";
import { formatVersion } from "../../core/envelope/version.ts";
import type * as wire from "../../wire/herald/v1/nodes.ts";
import type { Issuer } from "../issuer.ts";
import { attestorOf, type NodeFilter } from "../nodes/node-records.ts";
import { labelsText } from "../order-text.ts";
import { type AdminOptions, unaryHandler } from "./admin-calls.ts";

export interface NodeServiceOptions extends AdminOptions {
  /** Where nodes enrol. */
  readonly enrolmentUrl: string;
}

const defaultPage = 100;
const largestPage = 1000;

/** Nodes and their join tokens over the admin API. */
export function nodeService(options: NodeServiceOptions): wire.NodeServiceServer {
  const { issuer, enrolmentUrl } = options;
  const { records } = issuer.nodes;
  const unary = unaryHandler(options);
  const tell = (record: NodeRecordState): wire.Node => nodeMessage(issuer, record);
  const order = async (
    verb: string,
    { id, by }: { readonly id: string; readonly by: Operator },
    run: (record: NodeRecordState) => Promise<void>,
  ): Promise<{ readonly node: wire.Node }> => {
    const record = records.find(id);
    await issuer.carryOut({ verb, subject: record.node, by }, async () => await run(record));
    return { node: tell(records.list().find(({ node }) => node === record.node) ?? record) };
  };
  return {
    createJoinToken: unary(async (request: wire.CreateJoinTokenRequest, by) => {
      const { nodeName, replaces } = request;
      const labels = Object.fromEntries(request.labels);
      const made = await issuer.createToken({ nodeName, labels, replaces }, by);
      return { joinString: made.joinString, expiresAt: BigInt(made.expires), enrolmentUrl };
    }),
    listNodes: unary((request: wire.ListNodesRequest) => {
      const size = Math.min(request.pageSize === 0 ? defaultPage : request.pageSize, largestPage);
      const page = records.page(filterOf(request), { after: request.pageToken, size });
      return Promise.resolve({ nodes: page.records.map(tell), nextPageToken: page.next });
    }),
    getNode: unary((request: wire.GetNodeRequest) => {
      const record = records.find(request.id);
      return Promise.resolve({ node: tell(record), ...detailMessage(issuer, record) });
    }),
    labelNode: unary(
      async ({ id, set, remove }: wire.LabelNodeRequest, by) =>
        await order(`node label ${labelsText(set, remove)}`, { id, by }, async ({ node }) => {
          await records.label(node, { set, remove });
        }),
    ),
    banNode: unary(
      async ({ id }: wire.BanNodeRequest, by) =>
        await order("node ban", { id, by }, ({ node }) => records.ban(node)),
    ),
    evictNode: unary(
      async ({ id }: wire.EvictNodeRequest, by) =>
        await order("node evict", { id, by }, ({ node }) => records.evict(node)),
    ),
  };
}

function filterOf(request: wire.ListNodesRequest): NodeFilter {
  const { labels, banned, attestor } = request;
  return { labels, banned, attestor, expiringBefore: Number(request.expiringBefore) };
}

function nodeMessage(issuer: Issuer, record: NodeRecordState): wire.Node {
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
    attestor: attestorOf(record.node),
  };
}

function detailMessage(
  issuer: Issuer,
  record: NodeRecordState,
): Omit<wire.GetNodeResponse, "node"> {
  const ack = issuer.acknowledgements.newest(record.node);
  return {
    currentKey: record.current.keyId,
    nextKey: record.next?.keyId ?? "",
    retiredKeys: record.retired,
    consumers: (ack?.consumers ?? []).map(({ id, kind, connected, refusal }) => ({
      id,
      kind,
      connected,
      refusal: refusal === null ? "" : `${refusal.name}: ${refusal.reason}`,
    })),
    authorities: (ack?.authorities ?? []).map(({ authority, svids, until }) => ({
      subjectKeyId: authority,
      svids,
      until: BigInt(until),
    })),
    applied: new Map(
      Object.entries(ack?.applied ?? {}).map(([key, version]) => [key, formatVersion(version)]),
    ),
  };
}
