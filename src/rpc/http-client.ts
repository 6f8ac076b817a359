import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Clock } from "../kit/clock.ts";
import { errnoOf, RpcError } from "./error.ts";

/** One POST. */
export interface HttpsPost {
  /** `https://…` */
  readonly url: string;
  readonly body: string | Uint8Array;
  /** Defaults to `application/json`. */
  readonly contentType?: string;
  /** For the whole exchange, name lookup to last byte. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** A longer reply is refused. Defaults to 1 MiB. */
  readonly maxReplyBytes?: number;
}

/** What came back, whatever its status. */
export interface HttpsReply {
  readonly status: number;
  readonly body: Buffer;
}

/**
 * Posts to an issuer's enrolment endpoint. The TLS of it encrypts and **identifies nobody**: the caller must verify
 * the reply's signature by the control root that its join string pins. Redirects are not followed.
 * @throws {RpcError} ADDRESS_INVALID, NOBODY_LISTENS, TIMED_OUT, REPLY_TOO_LARGE, CALL_FAILED
 */
export async function postHttps(post: HttpsPost): Promise<HttpsReply> {
  const url = parseHttpsUrl(post.url);
  const body = Buffer.from(post.body);
  const outgoing = request(url, {
    method: "POST",
    headers: {
      "content-type": post.contentType ?? "application/json",
      "content-length": body.length,
    },
    // protocol.md "Enrolment": a machine that enrols trusts nothing yet but the pin in its join string. No public CA
    // knows the issuer, so a chain would prove less than the pinned signature on the reply does; and what is secret
    // in a reply is sealed to a key in the request.
    rejectUnauthorized: false,
    minVersion: "TLSv1.3",
    // One exchange, one connection: none is left in a pool.
    agent: false,
  });
  const timer = post.clock.after(post.timeoutMs, () => {
    outgoing.destroy(
      new RpcError(
        "TIMED_OUT",
        `${url.origin} did not answer within ${post.timeoutMs} ms; see whether the issuer runs and a firewall lets it be reached`,
      ),
    );
  });
  try {
    return await exchange(outgoing, body, post.maxReplyBytes ?? 1024 * 1024);
  } catch (thrown) {
    throw thrown instanceof RpcError ? thrown : callFailure(url, thrown);
  } finally {
    timer.cancel();
    outgoing.destroy();
  }
}

async function exchange(
  outgoing: ReturnType<typeof request>,
  body: Buffer,
  maxReplyBytes: number,
): Promise<HttpsReply> {
  return await new Promise((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      readReply(incoming, maxReplyBytes).then(
        (reply) => resolve({ status: incoming.statusCode ?? 0, body: reply }),
        reject,
      );
    });
    outgoing.end(body);
  });
}

async function readReply(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new RpcError(
        "REPLY_TOO_LARGE",
        `the reply has more than ${maxBytes} bytes; see whether the address is an issuer's`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseHttpsUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || url.protocol !== "https:") {
    throw new RpcError(
      "ADDRESS_INVALID",
      `"${text}" is not an issuer's address; write https://host:port`,
    );
  }
  return url;
}

function callFailure(url: URL, cause: unknown): RpcError {
  switch (errnoOf(cause)) {
    case "ECONNREFUSED":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return new RpcError(
        "NOBODY_LISTENS",
        `nobody answers at ${url.origin} (${errnoOf(cause)}); start the issuer or correct the address`,
        { cause },
      );
    default:
      return new RpcError(
        "CALL_FAILED",
        `the exchange with ${url.origin} broke off (${errnoOf(cause)}); try again`,
        { cause },
      );
  }
}
