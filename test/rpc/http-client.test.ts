import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type Clock, systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { type HttpRoutes, serveHttp } from "../../src/rpc/http.ts";
import { postHttps } from "../../src/rpc/http-client.ts";
import { queue } from "./support/listening.ts";
import { selfSigned } from "./support/self-signed.ts";

const clock = systemClock;
const timeoutMs = 20_000;

async function serve(routes: HttpRoutes): Promise<string> {
  const listener = await serveHttp({
    host: "127.0.0.1",
    port: 0,
    routes,
    log: silentLog,
    tls: await selfSigned(),
  });
  onTestFinished(async () => await listener.close());
  return listener.url;
}

test("a POST reaches an issuer whom no CA vouches for: the caller checks the reply by its pin", async () => {
  const url = await serve({
    "POST /enrol": async ({ body, headers }) => ({
      status: 201,
      contentType: "text/plain",
      body: `${headers["content-type"]} ${body.toString()}`,
    }),
  });
  const reply = await postHttps({ url: `${url}/enrol`, body: '{"a":1}', timeoutMs, clock });
  expect([reply.status, reply.body.toString()]).toEqual([201, 'application/json {"a":1}']);
});

test("a refusal is a reply too, and a redirect is not followed", async () => {
  const url = await serve({
    "POST /moved": async () => ({
      status: 307,
      contentType: "text/plain",
      body: "",
      headers: { location: "https://192.0.2.1/" },
    }),
  });
  expect((await postHttps({ url: `${url}/moved`, body: "", timeoutMs, clock })).status).toBe(307);
  expect((await postHttps({ url: `${url}/else`, body: "", timeoutMs, clock })).status).toBe(404);
});

test("nobody listens: told with the cause", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  server.close();
  await once(server, "close");
  await expect(
    postHttps({ url: `https://127.0.0.1:${port}/`, body: "", timeoutMs, clock }),
  ).rejects.toMatchObject({ code: "NOBODY_LISTENS", cause: { code: "ECONNREFUSED" } });
});

test("an issuer that does not answer is given up when the clock says so", async () => {
  const called = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  onTestFinished(() => release.resolve());
  const url = await serve({
    "POST /": async () => {
      called.resolve();
      await release.promise;
      return { status: 200, contentType: "text/plain", body: "" };
    },
  });
  const timers = queue<{ readonly delayMs: number; readonly run: () => void }>();
  const held: Clock = {
    now: () => 0,
    after(delayMs, run) {
      timers.put({ delayMs, run });
      return { cancel() {} };
    },
  };
  const reply = postHttps({ url, body: "", timeoutMs: 1234, clock: held });
  await called.promise;
  const { delayMs, run } = await timers.next();
  expect(delayMs).toBe(1234);
  run();
  await expect(reply).rejects.toMatchObject({ code: "TIMED_OUT" });
});

test("a reply without end is refused", async () => {
  const url = await serve({
    "POST /": async () => ({ status: 200, contentType: "text/plain", body: Buffer.alloc(101) }),
  });
  await expect(
    postHttps({ url, body: "", timeoutMs, clock, maxReplyBytes: 100 }),
  ).rejects.toMatchObject({ code: "REPLY_TOO_LARGE" });
  const reply = await postHttps({ url, body: "", timeoutMs, clock, maxReplyBytes: 101 });
  expect(reply.body).toHaveLength(101);
});

test("a server that hangs up is a broken exchange", async () => {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  await expect(
    postHttps({ url: `https://127.0.0.1:${port}/`, body: "", timeoutMs, clock }),
  ).rejects.toMatchObject({ code: "CALL_FAILED" });
});

test.for(["http://127.0.0.1/", "issuer:8443", "", "unix:///p"])(
  "TM-X-02 %j is no address to enrol at",
  async (url) => {
    await expect(postHttps({ url, body: "", timeoutMs, clock })).rejects.toMatchObject({
      code: "ADDRESS_INVALID",
    });
  },
);
