import {
  AuthorityServiceClient,
  type ForceRotationResponse,
  type ListAuthoritiesResponse,
  type PrepareAuthorityResponse,
  type PruneAuthoritiesResponse,
  type RotationProgress,
  type SteerRotationResponse,
} from "../../wire/herald/v1/authorities.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** Ends with the issuer, or quietly when the signal aborts. */
export type Progress = AsyncIterable<{ readonly progress: RotationProgress | undefined }>;

/** The trust domain's X.509 authorities. */
export interface AuthorityCalls {
  readonly listAuthorities: () => Promise<ListAuthoritiesResponse>;
  readonly prepareAuthority: () => Promise<PrepareAuthorityResponse>;
  readonly pruneAuthorities: () => Promise<PruneAuthoritiesResponse>;
  readonly activateAuthority: (id: string, signal: AbortSignal) => Progress;
  readonly taintAuthority: (id: string, signal: AbortSignal) => Progress;
  readonly revokeAuthority: (id: string, signal: AbortSignal) => Progress;
  readonly rotateAuthority: (signal: AbortSignal) => Progress;
  readonly watchRotation: (signal: AbortSignal) => Progress;
  readonly steerRotation: (order: string, node: string) => Promise<SteerRotationResponse>;
  readonly forceRotation: (confirmed: boolean) => Promise<ForceRotationResponse>;
}

export function authorityCalls(channel: AdminChannel): AuthorityCalls {
  const client = channel.service(AuthorityServiceClient);
  const { call, follow } = channel;
  return {
    listAuthorities: async () => await call((m, o, done) => client.listAuthorities({}, m, o, done)),
    prepareAuthority: async () =>
      await call((m, o, done) => client.prepareAuthority({}, m, o, done)),
    pruneAuthorities: async () =>
      await call((m, o, done) => client.pruneAuthorities({}, m, o, done)),
    activateAuthority: (id, signal) => follow(client.activateAuthority({ id }), signal),
    taintAuthority: (id, signal) => follow(client.taintAuthority({ id }), signal),
    revokeAuthority: (id, signal) => follow(client.revokeAuthority({ id }), signal),
    rotateAuthority: (signal) => follow(client.rotateAuthority({}), signal),
    watchRotation: (signal) => follow(client.watchRotation({}), signal),
    steerRotation: async (order, node) =>
      await call((m, o, done) => client.steerRotation({ order, node }, m, o, done)),
    forceRotation: async (confirmed) =>
      await call((m, o, done) => client.forceRotation({ confirmed }, m, o, done)),
  };
}
