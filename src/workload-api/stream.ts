import type { WorkloadApiError } from "./error.ts";
import type { DeliveredVersions } from "./ports.ts";
import type { Say, X509Message } from "./x509-messages.ts";

/** One server stream: full-state messages, the newest only. */
export interface StreamState {
  /** What the client was sent last: the same bytes are not sent again (WAPI-06). */
  readonly sent: X509Message | undefined;
  /** A message is on its way into the socket. */
  readonly writing: boolean;
  /** What is to be said once the socket has room; newer replaces older, history is never queued (WAPI-26). */
  readonly next: Say | undefined;
}

/** What happens to a stream. */
export type StreamInput =
  | { readonly kind: "say"; readonly say: Say }
  /** The last message is written out. */
  | { readonly kind: "written" }
  /** Nothing could be said for as long as this stream was willing to wait. */
  | { readonly kind: "out-of-patience"; readonly error: WorkloadApiError };

/** What a stream wants done, in this order. */
export type StreamEffect =
  | { readonly kind: "send"; readonly bytes: Buffer }
  | { readonly kind: "flushed"; readonly versions: DeliveredVersions }
  /** There is nothing to say yet, and may be in a moment: an SVID is on its way. */
  | { readonly kind: "wait"; readonly error: WorkloadApiError }
  | { readonly kind: "end"; readonly error: WorkloadApiError };

/** The state and what to do about it. */
export type Step = readonly [StreamState, readonly StreamEffect[]];

/** A stream that has just opened. */
export const newStream: StreamState = { sent: undefined, writing: false, next: undefined };

/** One input, the next state, and what to do. */
export function step(state: StreamState, input: StreamInput): Step {
  if (input.kind === "say") return say(state, input.say);
  if (input.kind === "out-of-patience") {
    return [state, state.sent === undefined ? [{ kind: "end", error: input.error }] : []];
  }
  const flushed: readonly StreamEffect[] =
    state.sent === undefined ? [] : [{ kind: "flushed", versions: state.sent.versions }];
  const idle: StreamState = { ...state, writing: false, next: undefined };
  if (state.next === undefined) return [idle, flushed];
  const [after, effects] = say(idle, state.next);
  return [after, [...flushed, ...effects]];
}

function say(state: StreamState, what: Say): Step {
  // A lost entitlement does not wait behind a client that does not read (WAPI-17).
  if (what.kind === "never") return [state, [{ kind: "end", error: what.error }]];
  if (what.kind === "later") {
    return [state, state.sent === undefined ? [{ kind: "wait", error: what.error }] : []];
  }
  if (state.writing) return [{ ...state, next: what }, []];
  const { bytes, versions } = what.message;
  if (state.sent?.bytes.equals(bytes) === true) {
    // The client has this content already, so it has the new version of it too: a gate may wait for that version.
    return [{ ...state, sent: what.message }, [{ kind: "flushed", versions }]];
  }
  return [{ sent: what.message, writing: true, next: undefined }, [{ kind: "send", bytes }]];
}
