import {
  AuthorityServiceClient,
  type ListAuthoritiesResponse,
  type RotateAuthorityResponse,
  type WatchRotationResponse,
} from "../../wire/herald/v1/authorities.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** The trust domain's X.509 authorities. */
export interface AuthorityCalls {
  readonly listAuthorities: () => Promise<ListAuthoritiesResponse>;
  /** Streams end with the issuer, or quietly when `signal` aborts. */
  readonly rotateAuthority: (signal: AbortSignal) => AsyncIterable<RotateAuthorityResponse>;
  readonly watchRotation: (signal: AbortSignal) => AsyncIterable<WatchRotationResponse>;
}

export function authorityCalls(channel: AdminChannel): AuthorityCalls {
  const client = channel.service(AuthorityServiceClient);
  const { call, follow } = channel;
  return {
    listAuthorities: async () => await call((m, o, done) => client.listAuthorities({}, m, o, done)),
    rotateAuthority: (signal) => follow(client.rotateAuthority({}), signal),
    watchRotation: (signal) => follow(client.watchRotation({}), signal),
  };
}
