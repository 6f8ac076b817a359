import {
  type CreateJoinTokenRequest,
  type CreateJoinTokenResponse,
  type ListNodesResponse,
  NodeServiceClient,
} from "../../wire/herald/v1/nodes.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** Which machines may ask for SVIDs. */
export interface NodeCalls {
  readonly createJoinToken: (request: CreateJoinTokenRequest) => Promise<CreateJoinTokenResponse>;
  readonly listNodes: () => Promise<ListNodesResponse>;
}

export function nodeCalls(channel: AdminChannel): NodeCalls {
  const client = channel.service(NodeServiceClient);
  const { call } = channel;
  return {
    createJoinToken: async (it) =>
      await call((m, o, done) => client.createJoinToken(it, m, o, done)),
    listNodes: async () => await call((m, o, done) => client.listNodes({}, m, o, done)),
  };
}
