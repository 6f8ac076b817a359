import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { Client, credentials, Metadata, ServerCredentials, status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import type { Clock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { createGrpcServer } from "../../src/rpc/grpc-server.ts";
import { linuxPeerReader } from "../../src/rpc/linux-peer.ts";
import { listenUnix } from "../../src/rpc/unix-server.ts";
import { freshFolder, queue, serveWho, watchedReader } from "./support/listening.ts";
import { addWho, askWho, openHttp2, type Who, whoDefinition } from "./support/who-service.ts";

function dial(target: string): Client {
  const client = new Client(target, credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

test("XDS-15 plaintext HTTP/2 is answered at once: the server's SETTINGS come before a word is said", async () => {
  const listener = await serveWho();
  const socket = connect(listener.path);
  onTestFinished(() => void socket.destroy());
  const [first] = (await once(socket, "data")) as [Buffer];
  // Frame type 4 on stream 0 (RFC 9113 §6.5).
  expect(first[3]).toBe(4);
  expect(first.readUInt32BE(5)).toBe(0);
});

test("XDS-15 a server without any service yet answers, with Unimplemented", async () => {
  const listener = await listenUnix({
    path: join(await freshFolder(), "s"),
    server: createGrpcServer(),
    peers: linuxPeerReader(),
    log: silentLog,
  });
  onTestFinished(async () => await listener.close(0));
  const error = await ask(dial(`unix:${listener.path}`)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: status.UNIMPLEMENTED });
});

test("WEP-11 a call that came by no attested connection has no peer, though it claims one", async () => {
  const server = createGrpcServer();
  addWho(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  onTestFinished(() => server.forceShutdown());
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  expect(await askWho(session, { "remote-address": "peer-1" })).toEqual({ code: "PEER_UNKNOWN" });
});

test("EF-04 one connection carries 1,200 streams at once, each knowing its caller", async () => {
  const listener = await serveWho();
  const client = dial(`unix:${listener.path}`);
  const { path, requestSerialize, responseDeserialize } = whoDefinition.watch;
  const first = await Promise.all(
    Array.from({ length: 1200 }, async () => {
      const call = client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.alloc(0),
      );
      call.on("error", () => {});
      const [message] = (await once(call, "data")) as [Buffer];
      return JSON.parse(message.toString()) as Who;
    }),
  );
  expect(new Set(first.map(({ id }) => id)).size).toBe(1);
  expect(first[0]?.pid).toBe(process.pid);
  expect(listener.connections()).toBe(1);
});

test("EF-04 a bidirectional call knows its caller too", async () => {
  const listener = await serveWho();
  const { path, requestSerialize, responseDeserialize } = whoDefinition.talk;
  const call = dial(`unix:${listener.path}`).makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
  );
  call.on("error", () => {});
  call.write(Buffer.from("who am I?"));
  const [message] = (await once(call, "data")) as [Buffer];
  expect(JSON.parse(message.toString())).toMatchObject({ pid: process.pid, alive: true });
  call.cancel();
});

test("TM-W-05 a request of more than 8 MiB is refused", async () => {
  const listener = await serveWho();
  const client = dial(`unix:${listener.path}`);
  const error = await ask(client, Buffer.alloc(8 * 1024 * 1024 + 1)).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  await expect(ask(client, Buffer.alloc(1024 * 1024))).resolves.toMatchObject({ pid: process.pid });
});

test("close lets idle connections go at once, and cuts an endless stream after the grace only", async () => {
  const graces = queue<{ readonly delayMs: number; readonly run: () => void }>();
  const clock: Clock = {
    now: () => 0,
    after(delayMs, run) {
      graces.put({ delayMs, run });
      return { cancel() {} };
    },
  };
  const gone = queue<true>();
  const listener = await serveWho({ clock, peers: watchedReader(() => gone.put(true)) });
  const client = dial(`unix:${listener.path}`);
  const { path, requestSerialize, responseDeserialize } = whoDefinition.watch;
  const call = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    Buffer.alloc(0),
  );
  const ended = new Promise<unknown>((resolve) => call.once("error", resolve));
  await once(call, "data");
  const idle = await openHttp2(listener.path);

  const closed = listener.close(250);
  const { delayMs, run } = await graces.next();
  expect(delayMs).toBe(250);
  await gone.next();
  expect(idle.closed).toBe(true);
  expect(listener.connections()).toBe(1);
  run();
  await closed;
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
  expect(listener.connections()).toBe(0);
  await expect(listener.close()).resolves.toBeUndefined();
});

async function ask(client: Client, request: Buffer = Buffer.alloc(0)): Promise<Who> {
  const { path, requestSerialize, responseDeserialize } = whoDefinition.ask;
  return await new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      (error, answer) => {
        if (error !== null || !answer) reject(error ?? new Error("no answer"));
        else resolve(JSON.parse(answer.toString()) as Who);
      },
    );
  });
}
