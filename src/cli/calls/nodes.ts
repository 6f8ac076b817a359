import {
  type BanNodeResponse,
  type CreateJoinTokenRequest,
  type CreateJoinTokenResponse,
  type EvictNodeResponse,
  type GetNodeResponse,
  type LabelNodeRequest,
  type LabelNodeResponse,
  type ListNodesRequest,
  type ListNodesResponse,
  NodeServiceClient,
} from "../../wire/herald/v1/nodes.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** Which machines may ask for SVIDs. */
export interface NodeCalls {
  readonly createJoinToken: (request: CreateJoinTokenRequest) => Promise<CreateJoinTokenResponse>;
  readonly listNodes: (request: ListNodesRequest) => Promise<ListNodesResponse>;
  readonly getNode: (id: string) => Promise<GetNodeResponse>;
  readonly labelNode: (request: LabelNodeRequest) => Promise<LabelNodeResponse>;
  readonly banNode: (id: string) => Promise<BanNodeResponse>;
  readonly evictNode: (id: string) => Promise<EvictNodeResponse>;
}

export function nodeCalls(channel: AdminChannel): NodeCalls {
  const client = channel.service(NodeServiceClient);
  const { call } = channel;
  return {
    createJoinToken: async (it) =>
      await call((m, o, done) => client.createJoinToken(it, m, o, done)),
    listNodes: async (it) => await call((m, o, done) => client.listNodes(it, m, o, done)),
    getNode: async (id) => await call((m, o, done) => client.getNode({ id }, m, o, done)),
    labelNode: async (it) => await call((m, o, done) => client.labelNode(it, m, o, done)),
    banNode: async (id) => await call((m, o, done) => client.banNode({ id }, m, o, done)),
    evictNode: async (id) => await call((m, o, done) => client.evictNode({ id }, m, o, done)),
  };
}
