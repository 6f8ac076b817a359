import {
  AdminServiceClient,
  type GetStatusResponse,
  type TailEventsRequest,
  type TailEventsResponse,
} from "../../wire/herald/v1/admin.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** The issuer itself. */
export interface IssuerCalls {
  readonly getStatus: () => Promise<GetStatusResponse>;
  /** Ends with the issuer, or quietly when `signal` aborts. */
  readonly tailEvents: (
    request: TailEventsRequest,
    signal: AbortSignal,
  ) => AsyncIterable<TailEventsResponse>;
}

export function issuerCalls(channel: AdminChannel): IssuerCalls {
  const client = channel.service(AdminServiceClient);
  const { call, follow } = channel;
  return {
    getStatus: async () => await call((m, o, done) => client.getStatus({}, m, o, done)),
    tailEvents: (request, signal) => follow(client.tailEvents(request), signal),
  };
}
