import { type RequestOptions, request } from "node:https";
import type { z } from "zod";
import { parsePem } from "../../core/x509/pem.ts";
import { reasonOf } from "../../kit/errors.ts";
import { IssuerError } from "../error.ts";

/** One question to an upstream's HTTPS API, in JSON. */
export interface UpstreamQuestion<T> {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Roots that the server must lead to, PEM; undefined: the system's. "unchecked": what comes back proves itself, and nothing secret is sent. */
  readonly trust: readonly string[] | "unchecked" | undefined;
  /** The form of the answer's body. */
  readonly shape: z.ZodType<T>;
}

const timeoutMs = 15_000;

/** Far above any chain of certificates. */
const longestAnswer = 1 << 20;

/** @throws IssuerError UPSTREAM_AWAY when there is no answer or a server's failure, UPSTREAM_REFUSED when it says no */
export async function askUpstream<T>(question: UpstreamQuestion<T>): Promise<T> {
  const { status, text } = await exchange(question).catch((cause: unknown) => {
    throw away(`${question.url} does not answer: ${reasonOf(cause)}`, cause);
  });
  if (status >= 500 || status === 429)
    throw away(`${question.url} answers ${status}: ${excerptOf(text)}`);
  if (status < 200 || status >= 300)
    throw new IssuerError("UPSTREAM_REFUSED", `${question.url} says ${status}: ${excerptOf(text)}`);
  const read = question.shape.safeParse(jsonOf(text));
  if (!read.success)
    throw away(
      `${question.url} answers what is not of its API; is there a proxy in between? ${read.error.issues[0]?.message ?? ""}`,
    );
  return read.data;
}

/** The DER of a PEM text with any number of certificates. @throws IssuerError UPSTREAM_REFUSED */
export function certificatesOf(pem: string): readonly Uint8Array[] {
  try {
    return parsePem("CERTIFICATE", pem);
  } catch (cause) {
    throw new IssuerError("UPSTREAM_REFUSED", `the upstream's certificate: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

function exchange<T>({
  method,
  url,
  headers,
  body,
  trust,
}: UpstreamQuestion<T>): Promise<{ readonly status: number; readonly text: string }> {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      {
        method,
        headers: {
          ...headers,
          ...(sent === undefined ? {} : { "content-type": "application/json" }),
        },
        timeout: timeoutMs,
        agent: false,
        ...tlsOf(trust),
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => {
          text += part;
          if (text.length > longestAnswer) response.destroy(away("the answer has no end"));
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      },
    );
    asked.on("timeout", () => asked.destroy(away(`nothing came within ${timeoutMs / 1000} s`)));
    asked.on("error", reject);
    asked.end(sent);
  });
}

function tlsOf(trust: UpstreamQuestion<unknown>["trust"]): RequestOptions {
  if (trust === undefined) return {};
  return trust === "unchecked" ? { rejectUnauthorized: false } : { ca: [...trust] };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What an upstream says for people, on one line. */
function excerptOf(text: string): string {
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}

function away(message: string, cause?: unknown): IssuerError {
  return new IssuerError("UPSTREAM_AWAY", message, { cause });
}
