import { once } from "node:events";
import { rename } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Client, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import type { Clock } from "../../src/kit/clock.ts";
import { callFailure, deadlineIn, dialUnix, parseUnixAddress } from "../../src/rpc/grpc-client.ts";
import { freshFolder, serveWho } from "./support/listening.ts";
import { type Who, whoDefinition } from "./support/who-service.ts";

test.for([
  ["unix:///run/herald/herald.sock", "/run/herald/herald.sock"],
  ["unix:/run/herald/herald.sock", "/run/herald/herald.sock"],
  ["/run/herald/herald.sock", "/run/herald/herald.sock"],
])("WEP-09 reads %s", ([address = "", path]) => {
  expect(parseUnixAddress(address)).toBe(path);
});

test.for([
  "",
  "/",
  "unix:",
  "unix:rel",
  "unix:./rel",
  "unix://host/p",
  "unix:////p",
  "//p",
  "unix:///p?q",
  "unix:///p#f",
  "unix:///p\0q",
  "tcp:127.0.0.1:1",
  "UNIX:///p",
])("WEP-09 refuses %j", (address) => {
  expect(() => parseUnixAddress(address)).toThrow(
    expect.objectContaining({ code: "ADDRESS_INVALID" }),
  );
});

test("a dialled daemon answers", async () => {
  const listener = await serveWho();
  const dial = await dialUnix(`unix://${listener.path}`);
  const client = new Client(dial.target, dial.credentials, dial.options);
  onTestFinished(() => client.close());
  const { path, requestSerialize, responseDeserialize } = whoDefinition.ask;
  const who = await new Promise<Who>((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.alloc(0),
      new Metadata(),
      (error, answer) => {
        if (error !== null || !answer) reject(error ?? new Error("no answer"));
        else resolve(JSON.parse(answer.toString()) as Who);
      },
    );
  });
  expect(who.pid).toBe(process.pid);
});

test("where nobody listens one is told so: no socket, or a dead one", async () => {
  const path = join(await freshFolder(), "s");
  await expect(dialUnix(path)).rejects.toMatchObject({ code: "NOBODY_LISTENS" });
  const server = createServer();
  server.listen(`${path}.bound`);
  await once(server, "listening");
  await rename(`${path}.bound`, path);
  server.close();
  await once(server, "close");
  await expect(dialUnix(path)).rejects.toMatchObject({ code: "NOBODY_LISTENS" });
});

test.for([
  [status.UNAVAILABLE, "NOBODY_LISTENS"],
  [status.DEADLINE_EXCEEDED, "TIMED_OUT"],
  [status.PERMISSION_DENIED, "ACCESS_DENIED"],
  [status.UNAUTHENTICATED, "ACCESS_DENIED"],
  [status.INTERNAL, "CALL_FAILED"],
] as const)("status %i is called %s, its cause kept", ([code, name]) => {
  const error: ServiceError = Object.assign(new Error("x"), {
    code,
    details: "why",
    metadata: new Metadata(),
  });
  expect(callFailure(error, "unix:///p")).toMatchObject({ code: name, cause: error });
});

test("a deadline is counted from the clock", () => {
  const clock: Clock = { now: () => 1_000, after: () => ({ cancel() {} }) };
  expect(deadlineIn(clock, 500).getTime()).toBe(1_500);
});
