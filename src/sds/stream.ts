import type { Node } from "../wire/envoy/config/core/v3/base.ts";
import type { DiscoveryRequest } from "../wire/envoy/service/discovery/v3/discovery.ts";
import { type Delivery, forget, newDelivery, renewSources, respond, settle } from "./delivery.ts";
import { type EncodedSecret, type SecretResponse, secretTypeUrl } from "./encode.ts";
import { validatorFor } from "./envoy-node.ts";
import { SdsError } from "./error.ts";
import { legible } from "./legible.ts";
import type { PushedSecret } from "./ports.ts";
import type { AbsentReason, Found, Snapshot } from "./secrets.ts";
import {
  namesFault,
  noSubscription,
  type Subscription,
  stillCounts,
  subscribe,
} from "./subscription.ts";

/** What the operator decides for all streams. */
export interface StreamRules {
  /** Whether Envoys get flat `trusted_ca` contexts unless their metadata says otherwise (SPIRE-06). */
  readonly disableSpiffeValidation: boolean;
  /** A name that nothing stands under: `wait` for it (XDS-10), or `close` the stream as SPIRE does (SPIRE-07). */
  readonly unknownName: "wait" | "close";
}

/** One State-of-the-World stream. */
export interface StreamState {
  /** The first one that came: later requests may leave it out (XDS-01, XDS-02). */
  readonly node: Node | undefined;
  readonly requests: number;
  readonly subscription: Subscription;
  readonly snapshot: Snapshot;
  readonly delivery: Delivery;
  /** A response is on its way into the socket; the next one is made when it is through, of what is newest then (XDS-12). */
  readonly writing: boolean;
  /** While set, SVIDs wait until all streams have had the new trust (SDS-07). */
  readonly hold: number | undefined;
  readonly holds: number;
  /** Why each subscribed name that has nothing to send is waiting: told once, not at every look. */
  readonly waiting: ReadonlyMap<string, string>;
}

/** What happens to a stream. `now`: milliseconds since the epoch. */
export type StreamInput =
  | { readonly kind: "request"; readonly request: DiscoveryRequest; readonly now: number }
  | { readonly kind: "view"; readonly snapshot: Snapshot; readonly now: number }
  /** The last response is written out: there is room for another. */
  | { readonly kind: "written"; readonly now: number }
  /** All streams have heard of the view for which hold `hold` was taken. */
  | { readonly kind: "released"; readonly hold: number; readonly now: number };

/** What a stream wants done, in this order. */
export type StreamEffect =
  | { readonly kind: "open"; readonly node: Node | undefined }
  | { readonly kind: "send"; readonly response: SecretResponse }
  /** Come back with `released` once the other streams have had their turn. */
  | { readonly kind: "hold"; readonly hold: number }
  | { readonly kind: "acknowledged"; readonly secrets: readonly PushedSecret[] }
  | {
      readonly kind: "refused";
      readonly secrets: readonly PushedSecret[];
      readonly message: string;
    }
  | {
      readonly kind: "waiting";
      readonly name: string;
      readonly reason: AbsentReason;
      readonly detail: string;
    }
  | { readonly kind: "end"; readonly error: SdsError };

/** The state and what to do about it. */
export type Step = readonly [StreamState, readonly StreamEffect[]];

/** A stream that has just opened. `stream` must differ from that of every other stream of this process. */
export function openStream(stream: number, snapshot: Snapshot): StreamState {
  return {
    node: undefined,
    requests: 0,
    subscription: noSubscription,
    snapshot,
    delivery: newDelivery(stream),
    writing: false,
    hold: undefined,
    holds: 0,
    waiting: new Map(),
  };
}

/** The State-of-the-World protocol: one input, the next state, and what to do. */
export function step(state: StreamState, input: StreamInput, rules: StreamRules): Step {
  switch (input.kind) {
    case "request":
      return onRequest(state, input, rules);
    case "view":
      return onView(state, input, rules);
    case "written":
      return push({ ...state, writing: false }, input.now, rules);
    case "released":
      return input.hold === state.hold
        ? push({ ...state, hold: undefined }, input.now, rules)
        : [state, []];
  }
}

function onRequest(
  before: StreamState,
  input: StreamInput & { kind: "request" },
  rules: StreamRules,
): Step {
  const { request } = input;
  const fault = requestFault(request);
  if (fault !== undefined) {
    return [before, [{ kind: "end", error: new SdsError("REQUEST_INVALID", fault) }]];
  }
  const node = before.node ?? request.node;
  const opened: readonly StreamEffect[] = before.requests === 0 ? [{ kind: "open", node }] : [];
  const [answered, answer] = onAnswer(before.delivery, request);
  const subscription = subscribe(before.subscription, request.resourceNames);
  const keep = (name: string): boolean => stillCounts(name, before.subscription, subscription);
  const state: StreamState = {
    ...before,
    node,
    requests: before.requests + 1,
    subscription,
    delivery: forget(answered, keep),
    waiting: new Map([...before.waiting].filter(([name]) => keep(name))),
  };
  const [after, pushed] = push(state, input.now, rules);
  return [after, [...opened, ...answer, ...pushed]];
}

/** XDS-03, XDS-04: empty means Secret on this service, and anything else has no business here. */
function requestFault(request: DiscoveryRequest): string | undefined {
  return request.typeUrl !== "" && request.typeUrl !== secretTypeUrl
    ? `this service carries ${secretTypeUrl} only`
    : namesFault(request.resourceNames);
}

/** A NACK is `error_detail` and nothing else (SOTW-03); the refused content is not sent again (XDS-16). */
function onAnswer(
  before: Delivery,
  request: DiscoveryRequest,
): readonly [Delivery, readonly StreamEffect[]] {
  const { errorDetail, responseNonce } = request;
  const refusal = errorDetail === undefined ? undefined : legible(errorDetail.message);
  const [delivery, secrets] = settle(before, responseNonce, refusal);
  return [delivery, secrets.length === 0 ? [] : [answerEffect(secrets, refusal)]];
}

function answerEffect(secrets: readonly PushedSecret[], refusal: string | undefined): StreamEffect {
  return refusal === undefined
    ? { kind: "acknowledged", secrets }
    : { kind: "refused", secrets, message: refusal };
}

function onView(
  before: StreamState,
  input: StreamInput & { kind: "view" },
  rules: StreamRules,
): Step {
  const { snapshot } = input;
  if (snapshot === before.snapshot) return [before, []];
  if (sameTrust(before.snapshot, snapshot)) return push({ ...before, snapshot }, input.now, rules);
  const hold = before.holds + 1;
  const [after, pushed] = push({ ...before, snapshot, hold, holds: hold }, input.now, rules);
  return [after, [...pushed, { kind: "hold", hold }]];
}

function sameTrust(left: Snapshot, right: Snapshot): boolean {
  return (
    left.bundles.length === right.bundles.length &&
    left.bundles.every((bundle, index) => bundle === right.bundles[index])
  );
}

/** Sends what the client lacks of what it subscribes to, in one response; never an empty one (SOTW-08, SOTW-09). */
function push(before: StreamState, now: number, rules: StreamRules): Step {
  if (before.requests === 0 || before.writing) return [before, []];
  const look = lookUp(before, now, rules);
  const [impossible] = look.impossible;
  if (impossible !== undefined) return [before, [{ kind: "end", error: impossible }]];
  const [state, told] = tell(before, look);
  const ready = dueSecrets(state, look.secrets);
  if (ready.length === 0) return [state, told];
  const [delivery, response] = respond(state.delivery, ready);
  return [{ ...state, delivery, writing: true }, [...told, { kind: "send", response }]];
}

/** What is to be reported though nothing is sent. */
function tell(before: StreamState, look: Look): Step {
  // A name that is known to be absent is not looked for anew, and not told again, whenever some other entry is on its way.
  const because = (one: (typeof look.absent)[number]): string =>
    (one.reason === "unsynced" ? before.waiting.get(one.name) : undefined) ??
    `${one.reason} ${one.detail}`;
  const waiting = new Map(look.absent.map((one) => [one.name, because(one)]));
  const absent = look.absent
    .filter((one) => before.waiting.get(one.name) !== waiting.get(one.name))
    .map((one) => ({ kind: "waiting", ...one }) as const);
  const [delivery, renamed] = renewSources(before.delivery, look.secrets);
  const answers = renamed.flatMap(({ secret, answer }) =>
    answer === undefined ? [] : [answerEffect([secret], answer.refusal)],
  );
  return [{ ...before, delivery, waiting }, [...absent, ...answers]];
}

/** New or changed for this client: bundles first, and SVIDs not while they are held (SDS-07). */
function dueSecrets(
  state: StreamState,
  secrets: readonly EncodedSecret[],
): readonly EncodedSecret[] {
  const due = secrets.filter((one) => state.delivery.sent.get(one.name)?.version !== one.version);
  const bundles = due.filter((one) => one.source.kind === "bundle");
  const svids = due.filter((one) => one.source.kind === "svid");
  return state.hold === undefined ? [...bundles, ...svids] : bundles;
}

interface Look {
  readonly secrets: readonly EncodedSecret[];
  readonly absent: readonly Absent[];
  readonly impossible: readonly SdsError[];
}

interface Absent {
  readonly name: string;
  readonly reason: AbsentReason;
  readonly detail: string;
}

function lookUp(state: StreamState, now: number, rules: StreamRules): Look {
  const { subscription, delivery, snapshot } = state;
  const validator = validatorFor(state.node, rules.disableSpiffeValidation);
  const secrets: EncodedSecret[] = [];
  const absent: Absent[] = [];
  const impossible: SdsError[] = [];
  const wildcard = subscription.all ? [...snapshot.everything, ...delivery.sent.keys()] : [];
  for (const name of new Set([...subscription.names, ...wildcard])) {
    const trusted = delivery.sent.get(name)?.source.kind === "bundle";
    const found: Found = snapshot.find(name, { validator, now, trusted });
    if (found.kind === "secret") secrets.push(found.secret);
    else if (found.kind === "impossible") impossible.push(found.error);
    else if (
      found.reason === "unknown" &&
      rules.unknownName === "close" &&
      !delivery.sent.has(name)
    )
      impossible.push(new SdsError("NAME_UNKNOWN", `${legible(name)}: ${found.detail}`));
    else absent.push({ name, reason: found.reason, detail: found.detail });
  }
  return { secrets, absent, impossible };
}
