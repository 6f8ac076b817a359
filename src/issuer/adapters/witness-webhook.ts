import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { exponentialBackoff } from "../../kit/backoff.ts";
import { type Clock, pause } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import type { AuditWitness } from "../audit/audit-witnesses.ts";
import { IssuerError } from "../error.ts";

/** Where a webhook witness answers. */
export interface WebhookWitnessOptions {
  /** `https://…`; checkpoints are posted to it, and the newest of an issuer is got from it with `?issuer=SPIFFE-ID` (404: none). */
  readonly url: string;
  /** PEM of the CAs that its certificate may chain to; undefined for the system's. Read anew for each call. */
  readonly caFile: string | undefined;
  /** Holds the bearer token; undefined for none. Read anew for each call. */
  readonly tokenFile: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

const tries = 3;
const patienceMs = 5000;
const mostReplyBytes = 64 * 1024;

interface Reply {
  readonly status: number;
  readonly body: Buffer;
}

/** A witness behind an HTTPS endpoint of somebody else's. Any status from 200 to 299 says that it keeps the checkpoint. */
export class WebhookWitness implements AuditWitness {
  readonly name: string;
  readonly #options: WebhookWitnessOptions;

  constructor(options: WebhookWitnessOptions) {
    this.#options = options;
    this.name = `webhook ${new URL(options.url).origin}`;
  }

  async submit(checkpoint: Uint8Array): Promise<void> {
    const { clock, random } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 200, maxMs: 2000, random });
    for (let left = tries - 1; ; left -= 1) {
      try {
        const { status } = await this.#exchange("POST", this.#options.url, checkpoint);
        if (status >= 200 && status < 300) return;
        throw away(`${this.name} answered ${status} to a checkpoint`);
      } catch (thrown) {
        if (left === 0) throw thrown;
      }
      await pause(clock, backoff.next());
    }
  }

  async last(issuer: SpiffeId): Promise<Uint8Array | undefined> {
    const url = new URL(this.#options.url);
    url.searchParams.set("issuer", issuer);
    const { status, body } = await this.#exchange("GET", url.href);
    if (status === 404 || status === 204) return undefined;
    if (status === 200) return body;
    throw away(`${this.name} answered ${status} to a question for the newest checkpoint`);
  }

  async #exchange(method: "GET" | "POST", url: string, body?: Uint8Array): Promise<Reply> {
    const { caFile, tokenFile, clock } = this.#options;
    const token = tokenFile === undefined ? "" : (await readFile(tokenFile, "utf8")).trim();
    const outgoing = request(url, {
      method,
      minVersion: "TLSv1.2",
      agent: false,
      headers: {
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": body.byteLength }),
      },
      ...(caFile === undefined ? {} : { ca: await readFile(caFile) }),
    });
    const timer = clock.after(patienceMs, () =>
      outgoing.destroy(away(`${this.name} did not answer within ${patienceMs} ms`)),
    );
    try {
      return await new Promise<Reply>((resolve, reject) => {
        outgoing.on("error", reject);
        outgoing.on("response", (incoming) => void readReply(incoming).then(resolve, reject));
        outgoing.end(body);
      });
    } finally {
      timer.cancel();
      outgoing.destroy();
    }
  }
}

async function readReply(incoming: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > mostReplyBytes) throw away("the witness's answer is longer than 64 KiB");
    chunks.push(chunk);
  }
  return { status: incoming.statusCode ?? 0, body: Buffer.concat(chunks) };
}

function away(what: string): IssuerError {
  return new IssuerError("WITNESS_AWAY", `${what}; see the witness's own log`);
}
