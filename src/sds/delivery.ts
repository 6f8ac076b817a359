import { createHash } from "node:crypto";
import type { EncodedSecret, SecretResponse } from "./encode.ts";
import type { PushedSecret, SecretSource } from "./ports.ts";

/** What one stream was sent and has answered; the same for State of the World and Delta. */
export interface Delivery {
  /** Begins every nonce, so that one of another stream never matches (XDS-05). */
  readonly stream: number;
  /** How many responses there were: the next nonce's number. */
  readonly responses: number;
  /** By name, what the client was sent last and still subscribes to. */
  readonly sent: ReadonlyMap<string, PushedSecret>;
  /** By nonce, oldest first, what neither an ACK nor a NACK has come for. */
  readonly unanswered: ReadonlyMap<string, readonly PushedSecret[]>;
  /** By name, the newest answer to what is in `sent`. */
  readonly answers: ReadonlyMap<string, Answer>;
}

/** What a client made of a secret; the message is there when it refused. */
interface Answer {
  readonly version: string;
  readonly refusal: string | undefined;
}

/** A client that reads and never answers must not make a stream grow: older responses than this are no longer told of. */
const maxUnanswered = 64;

/** A stream that has sent nothing. */
export function newDelivery(stream: number): Delivery {
  return { stream, responses: 0, sent: new Map(), unanswered: new Map(), answers: new Map() };
}

/** The next response, and the delivery once it is under way. */
export function respond(
  before: Delivery,
  secrets: readonly EncodedSecret[],
): readonly [Delivery, SecretResponse] {
  const responses = before.responses + 1;
  const nonce = `${before.stream}.${responses}`;
  const reports = secrets.map(reportOf);
  const sent = new Map(before.sent);
  for (const report of reports) sent.set(report.name, report);
  const unanswered = new Map(
    [...before.unanswered, [nonce, reports] as const].slice(-maxUnanswered),
  );
  const after: Delivery = { ...before, responses, sent, unanswered };
  return [after, { version: versionOf(sent), nonce, secrets }];
}

/**
 * Takes the answer to `nonce`. Whatever was sent before it counts as passed over: a client answers in order, and an
 * acknowledgement that never came must not be made up. A nonce not known, or answered already, answers nothing (SOTW-05).
 */
export function settle(
  before: Delivery,
  nonce: string,
  refusal: string | undefined,
): readonly [Delivery, readonly PushedSecret[]] {
  const answered = before.unanswered.get(nonce);
  if (answered === undefined) return [before, []];
  const waiting = [...before.unanswered];
  const position = waiting.findIndex(([known]) => known === nonce);
  const answers = new Map(before.answers);
  for (const { name, version } of answered) answers.set(name, { version, refusal });
  return [{ ...before, answers, unanswered: new Map(waiting.slice(position + 1)) }, answered];
}

/** A secret that needs no sending, because its content stayed, though it now comes from a newer version of its source. */
interface Resourced {
  readonly secret: PushedSecret;
  /** The client's answer to that content; undefined while it is still to come, and will then tell of the new source. */
  readonly answer: Answer | undefined;
}

/** Takes note of newer sources behind unchanged content: whoever waits for that version has been served already. */
export function renewSources(
  before: Delivery,
  current: readonly PushedSecret[],
): readonly [Delivery, readonly Resourced[]] {
  const moved = current.map(reportOf).filter((secret) => isMoved(before, secret));
  if (moved.length === 0) return [before, []];
  const byName = new Map(moved.map((secret) => [secret.name, secret]));
  const renew = (secret: PushedSecret): PushedSecret => {
    const newer = byName.get(secret.name);
    return newer?.version === secret.version ? newer : secret;
  };
  const sent = new Map([...before.sent].map(([name, secret]) => [name, renew(secret)]));
  const unanswered = new Map(
    [...before.unanswered].map(([nonce, secrets]) => [nonce, secrets.map(renew)]),
  );
  const renamed = moved.map((secret) => ({ secret, answer: answerTo(before, secret) }));
  return [{ ...before, sent, unanswered }, renamed];
}

function isMoved(delivery: Delivery, secret: PushedSecret): boolean {
  const sent = delivery.sent.get(secret.name);
  return sent?.version === secret.version && !sameSource(sent.source, secret.source);
}

function answerTo(delivery: Delivery, secret: PushedSecret): Answer | undefined {
  const answer = delivery.answers.get(secret.name);
  return answer?.version === secret.version ? answer : undefined;
}

function sameSource(left: SecretSource, right: SecretSource): boolean {
  if (left.kind === "svid" || right.kind === "svid") {
    return left.kind === "svid" && right.kind === "svid" && left.serial === right.serial;
  }
  const entries = [...left.sequences];
  return (
    entries.length === right.sequences.size &&
    entries.every(([domain, sequence]) => right.sequences.get(domain) === sequence)
  );
}

/** Forgets what was sent under the names that `keep` refuses: asked for again, they are sent again (SOTW-06, EDGE-04). */
export function forget(before: Delivery, keep: (name: string) => boolean): Delivery {
  const sent = new Map([...before.sent].filter(([name]) => keep(name)));
  if (sent.size === before.sent.size) return before;
  const answers = new Map([...before.answers].filter(([name]) => keep(name)));
  return { ...before, sent, answers };
}

/** Without the bytes: what a stream remembers must not keep old private keys in memory. */
function reportOf(secret: PushedSecret): PushedSecret {
  return { name: secret.name, version: secret.version, source: secret.source };
}

/** Of all that the client holds after this response; equal content gives equal versions on every stream (SOTW-12). */
function versionOf(sent: ReadonlyMap<string, PushedSecret>): string {
  const [only, ...others] = [...sent.values()];
  if (only !== undefined && others.length === 0) return only.version;
  const hash = createHash("sha256");
  for (const name of [...sent.keys()].toSorted()) {
    hash.update(`${name.length}:${name}=${sent.get(name)?.version}\n`);
  }
  return hash.digest("base64url");
}
