import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { errnoOf, RpcError } from "./error.ts";

/** One request, read to its end. */
interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** As the connection has it: of the nearest proxy, if there is one. Limits rates, proves nothing. */
  readonly remoteAddress: string;
}

/** What a handler answers. */
interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers one request; what it throws becomes a 500 and a line in the log. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;

/** By method and exact path: `"GET /metrics"`. HEAD is answered wherever GET is. */
export type HttpRoutes = Readonly<Record<string, HttpHandler>>;

/** PEM, as node:tls takes it. */
export interface HttpTls {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

/** How to serve HTTP. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly routes: HttpRoutes;
  readonly log: Log;
  /** Absent: plain HTTP. With it TLS 1.3 only (TM-X-01). */
  readonly tls?: HttpTls;
  /** A longer request gets 413 and is not read further. Defaults to 65,536. */
  readonly maxBodyBytes?: number;
  /** For a client to send its headers, in milliseconds; three times as long for a whole request. Defaults to 5,000. */
  readonly patienceMs?: number;
}

/** A port that is being served. */
export interface HttpListener {
  readonly host: string;
  /** The real one, also when 0 was asked for. */
  readonly port: number;
  /** `http://127.0.0.1:9100` */
  readonly url: string;
  /** Takes no more connections and resolves when running requests are answered; within 30 s at the latest. */
  close(): Promise<void>;
}

/** Of silence in either direction; a reader that takes nothing is cut too. */
const idleMs = 30_000;
const maxConnections = 1024;

/**
 * Serves `routes` over HTTP/1.1.
 * @throws {RpcError} PORT_IN_USE, PORT_FAILED
 */
export async function serveHttp(options: HttpServerOptions): Promise<HttpListener> {
  const patience = timeouts(options.patienceMs ?? 5_000);
  const server: Server =
    options.tls === undefined
      ? createServer(patience)
      : createTlsServer({
          ...patience,
          handshakeTimeout: options.patienceMs ?? 5_000,
          minVersion: "TLSv1.3",
          ...pemOf(options.tls),
        });
  server.on("request", answering(options, server));
  server.maxConnections = maxConnections;
  server.timeout = idleMs;
  try {
    server.listen({ host: options.host, port: options.port });
    await once(server, "listening");
  } catch (cause) {
    throw portFailure(options, cause);
  }
  server.on("error", (error) => {
    options.log.error({ reason: reasonOf(error) }, "a connection could not be accepted");
  });
  const port = portOf(server);
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    host: options.host,
    port,
    url: `${options.tls === undefined ? "http" : "https"}://${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

/** Node's own defaults (60 s, 300 s, looked at every 30 s) let a slow client hold a socket for minutes. */
function timeouts(patienceMs: number): ServerOptions {
  return {
    headersTimeout: patienceMs,
    requestTimeout: 3 * patienceMs,
    keepAliveTimeout: patienceMs,
    connectionsCheckingInterval: Math.min(1_000, patienceMs),
  };
}

function answering(
  options: HttpServerOptions,
  server: Server,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const maxBodyBytes = options.maxBodyBytes ?? 65_536;
  return (incoming, outgoing) => {
    respond({ incoming, routes: options.routes, maxBodyBytes })
      .catch((thrown: unknown) => {
        // What broke is for the log; the client may be anybody.
        const at = `${incoming.method ?? ""} ${incoming.url ?? ""}`;
        options.log.error({ at, reason: reasonOf(thrown) }, "an HTTP handler failed");
        return plain(500, "internal error");
      })
      .then((response) => {
        // While we close no connection may wait for another request.
        outgoing.shouldKeepAlive &&= server.listening;
        send({ incoming, outgoing }, response);
      })
      .catch((thrown: unknown) => {
        options.log.debug({ reason: reasonOf(thrown) }, "an HTTP answer could not be sent");
        outgoing.destroy();
      });
  };
}

async function respond(exchange: {
  readonly incoming: IncomingMessage;
  readonly routes: HttpRoutes;
  readonly maxBodyBytes: number;
}): Promise<HttpResponse> {
  const { incoming, routes, maxBodyBytes } = exchange;
  const method = incoming.method ?? "";
  // A relative target only: "*" and absolute forms name no route of ours.
  const [path = "", query = ""] = split(incoming.url ?? "");
  const handler = handlerOf(routes, method, path);
  if (handler === undefined) return noRoute(routes, path);
  const body = await readBody(incoming, maxBodyBytes);
  if (body === undefined) return plain(413, `the body may have ${maxBodyBytes} bytes`);
  return await handler({
    method,
    path,
    query: new URLSearchParams(query),
    headers: incoming.headers,
    body,
    remoteAddress: incoming.socket.remoteAddress ?? "",
  });
}

function split(target: string): readonly string[] {
  const mark = target.indexOf("?");
  return mark < 0 ? [target] : [target.slice(0, mark), target.slice(mark + 1)];
}

function handlerOf(routes: HttpRoutes, method: string, path: string): HttpHandler | undefined {
  const route = `${method === "HEAD" ? "GET" : method} ${path}`;
  // A record inherits: "toString" must not be a route.
  return Object.hasOwn(routes, route) ? routes[route] : undefined;
}

function noRoute(routes: HttpRoutes, path: string): HttpResponse {
  const allowed = Object.keys(routes)
    .filter((route) => route.slice(route.indexOf(" ") + 1) === path)
    .map((route) => route.slice(0, route.indexOf(" ")));
  if (allowed.length === 0) return plain(404, "nothing here");
  return { ...plain(405, "method not allowed"), headers: { allow: allowed.toSorted().join(", ") } };
}

/** Undefined when there is more of it than `maxBytes`; the rest is then left unread. */
async function readBody(incoming: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  if (Number(incoming.headers["content-length"] ?? 0) > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  // Not `for await`: leaving its loop destroys the request, and the 413 with it.
  return await new Promise((resolve, reject) => {
    incoming.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) {
        chunks.push(chunk);
        return;
      }
      incoming.removeAllListeners("data");
      incoming.pause();
      resolve(undefined);
    });
    incoming.once("end", () => resolve(Buffer.concat(chunks)));
    incoming.once("error", reject);
  });
}

function send(
  { incoming, outgoing }: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse },
  response: HttpResponse,
): void {
  const body = Buffer.from(response.body);
  outgoing.writeHead(response.status, {
    "content-type": response.contentType,
    "content-length": body.length,
    "x-content-type-options": "nosniff",
    ...response.headers,
    // What was not read cannot be skipped: such a connection takes no second request.
    ...(incoming.complete ? {} : { connection: "close" }),
  });
  outgoing.end(incoming.method === "HEAD" ? undefined : body);
}

function plain(status: number, text: string): HttpResponse {
  return { status, contentType: "text/plain; charset=utf-8", body: `${text}\n` };
}

function pemOf(tls: HttpTls): { readonly cert: string | Buffer; readonly key: string | Buffer } {
  const pem = (value: string | Uint8Array): string | Buffer =>
    typeof value === "string" ? value : Buffer.from(value);
  return { cert: pem(tls.cert), key: pem(tls.key) };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function portFailure(options: HttpServerOptions, cause: unknown): RpcError {
  const place = `${options.host}:${options.port}`;
  switch (errnoOf(cause)) {
    case "EADDRINUSE":
      return new RpcError(
        "PORT_IN_USE",
        `another process serves ${place}; stop it (ss -tlp shows it) or choose another port, 0 for any`,
        { cause },
      );
    case "EACCES":
      return new RpcError(
        "PORT_FAILED",
        `this user may not serve ${place}; choose a port above 1023`,
        { cause },
      );
    default:
      return new RpcError(
        "PORT_FAILED",
        `cannot serve ${place} (${errnoOf(cause)}); the host must be an address of this machine`,
        { cause },
      );
  }
}
