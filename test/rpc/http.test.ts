import { once } from "node:events";
import { connect, createServer } from "node:net";
import { connect as connectTls } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../src/kit/log.ts";
import {
  type HttpHandler,
  type HttpListener,
  type HttpServerOptions,
  serveHttp,
} from "../../src/rpc/http.ts";
import { keptLog } from "./support/listening.ts";
import { selfSigned } from "./support/self-signed.ts";

const echo: HttpHandler = async (request) => ({
  status: 200,
  contentType: "application/json",
  body: JSON.stringify({
    ...request,
    headers: undefined,
    query: [...request.query],
    body: request.body.toString(),
  }),
});

async function serve(options: Partial<HttpServerOptions> = {}): Promise<HttpListener> {
  const listener = await serveHttp({
    host: "127.0.0.1",
    port: 0,
    routes: { "GET /echo": echo, "POST /echo": echo, "POST /only": echo },
    log: silentLog,
    ...options,
  });
  onTestFinished(async () => await listener.close());
  return listener;
}

test("a route gets method, path, query and body, and its answer is sent", async () => {
  const { url } = await serve();
  const reply = await fetch(`${url}/echo?a=1&a=2`, { method: "POST", body: "hello" });
  expect(reply.status).toBe(200);
  expect(reply.headers.get("content-type")).toBe("application/json");
  expect(await reply.json()).toEqual({
    method: "POST",
    path: "/echo",
    query: [
      ["a", "1"],
      ["a", "2"],
    ],
    body: "hello",
    remoteAddress: "127.0.0.1",
  });
});

test("HEAD is GET without a body", async () => {
  const { url } = await serve();
  const reply = await fetch(`${url}/echo`, { method: "HEAD" });
  expect(reply.status).toBe(200);
  expect(Number(reply.headers.get("content-length"))).toBeGreaterThan(0);
  expect(await reply.text()).toBe("");
});

test.for([
  ["GET", "/nothing", 404, null],
  ["GET", "/echo/", 404, null],
  ["GET", "/ECHO", 404, null],
  ["GET", "/", 404, null],
  ["DELETE", "/echo", 405, "GET, POST"],
  ["GET", "/only", 405, "POST"],
  ["HEAD", "/only", 405, "POST"],
] as const)("%s %s gets %i", async ([method, path, expected, allow]) => {
  const { url } = await serve();
  const reply = await fetch(`${url}${path}`, { method });
  expect([reply.status, reply.headers.get("allow")]).toEqual([expected, allow]);
});

test.for(["toString /", "__proto__ /", "GET /constructor"])(
  "what every object inherits is no route: %s",
  async (line) => {
    const { port } = await serve();
    expect(
      await exchange(port, `${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`),
    ).toMatch(/^HTTP\/1.1 4\d\d/);
  },
);

test("TM-W-05 a body that says it is too long gets 413 before it is sent", async () => {
  const { port } = await serve({ maxBodyBytes: 10 });
  const head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n";
  const reply = await exchange(port, head);
  expect(reply).toMatch(/^HTTP\/1.1 413/);
  expect(reply.toLowerCase()).toContain("connection: close");
});

test("TM-W-05 a body that turns out too long gets 413 while it is still being sent", async () => {
  const { port } = await serve({ maxBodyBytes: 10 });
  const head = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
  expect(await exchange(port, `${head}b\r\nhello world\r\n`)).toMatch(/^HTTP\/1.1 413/);
});

test("a body of just the limit is taken", async () => {
  const { url } = await serve({ maxBodyBytes: 10 });
  expect((await fetch(`${url}/echo`, { method: "POST", body: "0123456789" })).status).toBe(200);
});

test("what a handler throws goes to the log, not to the client", async () => {
  const { log, lines } = keptLog();
  const routes = {
    "GET /": async (): Promise<never> => {
      throw new Error("the secret is 42");
    },
  };
  const { url } = await serve({ routes, log });
  const reply = await fetch(url);
  expect(reply.status).toBe(500);
  expect(await reply.text()).not.toContain("42");
  expect(lines).toMatchObject([{ level: "error", fields: { reason: "the secret is 42" } }]);
});

test.for([
  ["headers", "POST /echo HTTP/1.1\r\n"],
  ["its body", "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"],
] as const)("TM-W-05 who does not finish %s is cut off", async ([, begun]) => {
  const { port } = await serve({ patienceMs: 100 });
  expect(await exchange(port, begun)).toMatch(/^HTTP\/1.1 408/);
});

test.for([
  ["HTTP", false],
  ["TLS", true],
] as const)("TM-W-05 who connects and says nothing in %s is cut off", async ([, secured]) => {
  const tls = secured ? { tls: await selfSigned() } : {};
  const { port } = await serve({ patienceMs: 100, ...tls });
  const socket = connect(port, "127.0.0.1");
  socket.resume();
  await once(socket, "close");
  expect(socket.bytesWritten).toBe(0);
});

test("a port in use is named, with host", async () => {
  const { port } = await serve();
  const second = serve({ port });
  await expect(second).rejects.toMatchObject({ code: "PORT_IN_USE" });
  await expect(second).rejects.toThrow(`127.0.0.1:${port}`);
});

test("a host that is not this machine's is refused", async () => {
  // TEST-NET-1 (RFC 5737)
  await expect(serve({ host: "192.0.2.1" })).rejects.toMatchObject({ code: "PORT_FAILED" });
});

test("TM-X-01 with a certificate TLS 1.3 is spoken, and nothing older", async () => {
  const { port, url } = await serve({ tls: await selfSigned() });
  expect(url).toBe(`https://127.0.0.1:${port}`);
  const modern = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(modern, "secureConnect");
  expect(modern.getProtocol()).toBe("TLSv1.3");
  modern.destroy();
  const old = connectTls({
    host: "127.0.0.1",
    port,
    rejectUnauthorized: false,
    maxVersion: "TLSv1.2",
  });
  const [error] = (await once(old, "error")) as [Error];
  expect(error.message).toMatch(/protocol version/);
});

test("close waits for the request that runs, not for idle connections", async () => {
  const running = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const routes = {
    "GET /slow": async () => {
      running.resolve();
      await release.promise;
      return { status: 200, contentType: "text/plain", body: "done" };
    },
  };
  const listener = await serveHttp({ host: "127.0.0.1", port: 0, routes, log: silentLog });
  const idle = connect(listener.port, "127.0.0.1");
  await once(idle, "connect");
  const reply = fetch(`${listener.url}/slow`);
  await running.promise;
  const closed = listener.close();
  release.resolve();
  const { headers } = await reply;
  expect(await (await reply).text()).toBe("done");
  expect(headers.get("connection")).toBe("close");
  await closed;
  const free = createServer();
  free.listen(listener.port, "127.0.0.1");
  await once(free, "listening");
  free.close();
  idle.destroy();
});

/** Sends `text` as it is and reads until the server closes. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
