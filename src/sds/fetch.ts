import type { DiscoveryRequest } from "../wire/envoy/service/discovery/v3/discovery.ts";
import type { SecretResponse } from "./encode.ts";
import { SdsError } from "./error.ts";
import type { Snapshot } from "./secrets.ts";
import { openStream, type StreamRules, step } from "./stream.ts";

/**
 * One answer without a stream: all that is asked, or an error (FETCH-01). It keeps no state, so a caller that already has
 * this version gets it again (FETCH-02).
 * @throws {SdsError} REQUEST_INVALID, NAME_UNKNOWN, NOT_SYNCED, VALIDATOR_NEEDED
 */
export function fetchSecrets(
  request: DiscoveryRequest,
  snapshot: Snapshot,
  options: StreamRules & { readonly now: number },
): SecretResponse {
  // The first request of a stream that nobody keeps open: the same names, the same checks.
  const input = { kind: "request", request, now: options.now } as const;
  const [, effects] = step(openStream(0, snapshot), input, options);
  let response: SecretResponse | undefined;
  for (const effect of effects) {
    if (effect.kind === "end") throw effect.error;
    if (effect.kind === "waiting") {
      const code = effect.reason === "unknown" ? "NAME_UNKNOWN" : "NOT_SYNCED";
      throw new SdsError(code, `${effect.name}: ${effect.detail}`);
    }
    if (effect.kind === "send") response = { ...effect.response, nonce: "" };
  }
  if (response !== undefined) return response;
  throw snapshot.synced
    ? new SdsError("NAME_UNKNOWN", "this caller is entitled to nothing")
    : new SdsError("NOT_SYNCED", "the node has not read its state yet");
}
