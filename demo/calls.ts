import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { z } from "zod";

/** An answer of the demo's service, or of an Envoy in its place. */
export interface Call {
  readonly status: number;
  /** SPIFFE ID of the caller as the service saw it; empty when it did not answer itself. */
  readonly caller: string;
  /** SHA-256 of the caller's certificate, hex. */
  readonly certificate: string;
  readonly body: string;
}

const told = z.object({ caller: z.string(), certificate: z.string() });

/** One plain request to a client's Envoy. */
export async function call(port: number): Promise<Call> {
  return await readCall(request({ host: "127.0.0.1", port, agent: false, timeout: 5000 }));
}

/** Sends a request that was made and reads what comes. Rejects when the connection fails or nothing comes in time. */
export async function readCall(sent: ClientRequest): Promise<Call> {
  sent.once("timeout", () => sent.destroy(new Error("no answer in time")));
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let body = "";
  response.setEncoding("utf8");
  for await (const chunk of response) body += String(chunk);
  const status = response.statusCode ?? 0;
  const nothing = { caller: "", certificate: "" };
  return { status, body, ...(status === 200 ? told.parse(JSON.parse(body)) : nothing) };
}
