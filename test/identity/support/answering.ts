import { type EnvelopeSigner, sealEnvelope } from "../../../src/core/envelope/envelope.ts";
import type { Kind, Payloads } from "../../../src/core/envelope/kinds.ts";
import type { NodeRequest, Reply } from "../../../src/core/envelope/payloads.ts";
import { IdentityError } from "../../../src/identity/error.ts";
import { IssuerClient } from "../../../src/identity/issuer-client.ts";
import { now, signers, trustDomain } from "../../core/envelope/support/keys.ts";
import { openAs } from "../../core/envelope/support/open.ts";
import { HeldClock } from "../../support/held-clock.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { RecordedLog } from "./recorded-log.ts";
import { newTrust } from "./signed-state.ts";

/** A client of the issuer, and the issuer's side of it in the test's hands. */
export class Asking {
  readonly clock: HeldClock;
  readonly log: RecordedLog = new RecordedLog();
  readonly client: IssuerClient;

  constructor(clock: HeldClock = new HeldClock(now)) {
    this.clock = clock;
    this.client = new IssuerClient({
      trust: newTrust(),
      clock,
      random: new SeededRandom(1),
      log: this.log,
    });
  }

  /** What comes of asking, with time going on as long as it takes: a value, or the code of the refusal. */
  async outcome<T>(asked: Promise<T>): Promise<T | string> {
    let settled: T | string | undefined;
    asked.then(
      (value) => {
        settled = value;
      },
      (thrown: unknown) => {
        settled =
          thrown instanceof IdentityError ? thrown.code : `no IdentityError: ${String(thrown)}`;
      },
    );
    await this.clock.until(() => settled !== undefined, { stepMs: 100, limitMs: 60_000 });
    return settled ?? "nothing came of it";
  }
}

/** Opens a node's request as an issuer would. */
export function requestOf<K extends "sign-request" | "renew-request" | "state-request" | "ack">(
  bytes: Uint8Array,
  kind: K,
): { readonly payload: Payloads[K] & NodeRequest; readonly digest: string } {
  const { payload, digest } = openAs(bytes, kind);
  return { payload, digest };
}

type ReplyKind = { [K in Kind]: Payloads[K] extends Reply ? K : never }[Kind];

/** A signed reply to the request of this digest. */
export async function replyTo<K extends ReplyKind>(
  kind: K,
  request: string,
  contents: Omit<Payloads[K], keyof Reply> & Partial<Reply> & { readonly signer?: EnvelopeSigner },
): Promise<Uint8Array> {
  const { signer = signers.control, ...rest } = contents;
  const payload = { td: trustDomain, at: now, request, ...rest } as unknown as Payloads[K];
  return (await sealEnvelope(kind, payload, signer)).bytes;
}
