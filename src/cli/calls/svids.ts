import {
  type GetSvidRequest,
  type GetSvidResponse,
  type ListSvidsRequest,
  type ListSvidsResponse,
  type MintSvidRequest,
  type MintSvidResponse,
  type RevokeSvidsRequest,
  type RevokeSvidsResponse,
  SvidServiceClient,
} from "../../wire/herald/v1/svids.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** Issued SVIDs. */
export interface SvidCalls {
  readonly listSvids: (request: ListSvidsRequest) => Promise<ListSvidsResponse>;
  readonly getSvid: (request: GetSvidRequest) => Promise<GetSvidResponse>;
  readonly revokeSvids: (request: RevokeSvidsRequest) => Promise<RevokeSvidsResponse>;
  readonly mintSvid: (request: MintSvidRequest) => Promise<MintSvidResponse>;
}

export function svidCalls(channel: AdminChannel): SvidCalls {
  const client = channel.service(SvidServiceClient);
  const { call } = channel;
  return {
    listSvids: async (it) => await call((m, o, done) => client.listSvids(it, m, o, done)),
    getSvid: async (it) => await call((m, o, done) => client.getSvid(it, m, o, done)),
    revokeSvids: async (it) => await call((m, o, done) => client.revokeSvids(it, m, o, done)),
    mintSvid: async (it) => await call((m, o, done) => client.mintSvid(it, m, o, done)),
  };
}
