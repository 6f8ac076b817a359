import { once } from "node:events";
import { watch } from "node:fs";
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../src/kit/log.ts";
import { createGrpcServer } from "../../src/rpc/grpc-server.ts";
import { linuxPeerReader } from "../../src/rpc/linux-peer.ts";
import { lockPath } from "../../src/rpc/path-lock.ts";
import { listenUnix, type UnixListener } from "../../src/rpc/unix-server.ts";
import { startChild } from "./support/children.ts";
import { freshFolder, keptLog, serveWho } from "./support/listening.ts";
import { askWho, openHttp2 } from "./support/who-service.ts";

/** A socket of somebody else, who may be dead. */
async function strangerAt(path: string): Promise<Server> {
  const server = createServer();
  server.listen(`${path}.bound`);
  await once(server, "listening");
  // Closing unlinks the name that was bound: so the file at `path` outlives its server.
  await rename(`${path}.bound`, path);
  return server;
}

async function deadSocketAt(path: string): Promise<void> {
  const stranger = await strangerAt(path);
  stranger.close();
  await once(stranger, "close");
}

async function listenAt(path: string): Promise<UnixListener> {
  return await listenUnix({
    path,
    server: createGrpcServer(),
    peers: linuxPeerReader(),
    log: silentLog,
  });
}

test("TM-W-07 a dead process' socket is replaced", async () => {
  const path = join(await freshFolder(), "s");
  const daemon = startChild("serving-child.ts", [path]);
  await daemon.line();
  await daemon.kill();
  expect((await lstat(path)).isSocket()).toBe(true);
  const listener = await serveWho({ path });
  expect((await askWho(await openHttp2(path))).pid).toBe(process.pid);
  expect(await listener.holdsPath()).toBe(true);
});

test("TM-W-07 a living process' socket is not, and goes on serving", async () => {
  const listener = await serveWho();
  await expect(serveWho({ path: listener.path })).rejects.toMatchObject({ code: "SOCKET_IN_USE" });
  expect((await askWho(await openHttp2(listener.path))).alive).toBe(true);
  expect(await listener.holdsPath()).toBe(true);
});

test.for<[string, (path: string) => Promise<void>]>([
  ["a file", async (path) => await writeFile(path, "precious")],
  [
    "a link to a file",
    async (path) => {
      await writeFile(`${path}.target`, "precious");
      await symlink(`${path}.target`, path);
    },
  ],
  [
    "a link to a dead socket",
    async (path) => {
      await deadSocketAt(`${path}.target`);
      await symlink(`${path}.target`, path);
    },
  ],
  ["a folder", async (path) => await mkdir(path)],
])("TM-W-07 %s at the path is left alone", async ([, place]) => {
  const path = join(await freshFolder(), "s");
  await place(path);
  const before = await lstat(path);
  await expect(listenAt(path)).rejects.toMatchObject({ code: "SOCKET_PATH_TAKEN" });
  expect((await lstat(path)).ino).toBe(before.ino);
  if (before.isFile()) expect(await readFile(path, "utf8")).toBe("precious");
});

test("TM-W-07 a socket put in place of ours is noticed, and survives our close", async () => {
  const listener = await serveWho();
  await unlink(listener.path);
  expect(await listener.holdsPath()).toBe(false);
  const thief = await strangerAt(listener.path);
  onTestFinished(() => void thief.close());
  expect(await listener.holdsPath()).toBe(false);
  const { ino } = await lstat(listener.path);
  await listener.close(0);
  expect((await lstat(listener.path)).ino).toBe(ino);
});

test("TM-W-07 our own socket is gone after close, and its folder is as it was", async () => {
  const folder = await freshFolder();
  const listener = await listenAt(join(folder, "s"));
  expect(await readdir(folder)).toEqual(["s", "s.lock"]);
  await listener.close(0);
  expect(await readdir(folder)).toEqual(["s.lock"]);
});

test.for([
  ["no socket", async (): Promise<void> => {}],
  ["a dead socket", deadSocketAt],
] as const)(
  "TM-W-07 of six daemons that start at once over %s, one serves",
  async ([, prepare]) => {
    const folder = await freshFolder();
    for (let round = 0; round < 10; round += 1) {
      const path = join(folder, `s${round}`);
      await prepare(path);
      const starts = await Promise.allSettled(
        Array.from({ length: 6 }, async () => await listenAt(path)),
      );
      const serving = starts
        .filter((start) => start.status === "fulfilled")
        .map(({ value }) => value);
      const codes = starts
        .filter((start) => start.status === "rejected")
        .map(({ reason }) => (reason as { code?: string }).code);
      expect(codes).toEqual(Array.from({ length: 5 }, () => "SOCKET_IN_USE"));
      expect(await Promise.all(serving.map(async (one) => await one.holdsPath()))).toEqual([true]);
      await Promise.all(serving.map(async (one) => await one.close(0)));
    }
    expect((await readdir(folder)).every((name) => name.endsWith(".lock"))).toBe(true);
  },
);

test.for([0o777, 0o660, 0o600])(
  "TM-W-07 the socket has mode %o whatever the umask",
  async (mode) => {
    const listener = await serveWho({ mode });
    expect((await lstat(listener.path)).mode & 0o777).toBe(mode);
  },
);

test("TM-W-07 a folder in which anybody may replace the socket is warned of", async () => {
  const folder = await freshFolder();
  await chmod(folder, 0o777);
  const { log, lines } = keptLog();
  await serveWho({ path: join(folder, "s"), log });
  expect(lines).toMatchObject([{ level: "warn", fields: { folder } }]);
});

test("a path of 107 bytes will do, of 108 not", async () => {
  const folder = await freshFolder();
  const longest = join(folder, "x".repeat(107 - folder.length - 1));
  await expect(listenAt(`${longest}x`)).rejects.toMatchObject({ code: "SOCKET_PATH_TOO_LONG" });
  const listener = await listenAt(longest);
  expect(await listener.holdsPath()).toBe(true);
  await listener.close(0);
});

test.for([
  ["a folder that is missing", "missing/s", "SOCKET_FOLDER_MISSING"],
  ["a file as folder", "file/s", "SOCKET_FOLDER_MISSING"],
])("%s is told, and nothing is left", async ([, place = "", code]) => {
  const folder = await freshFolder();
  await writeFile(join(folder, "file"), "");
  await expect(listenAt(join(folder, place))).rejects.toMatchObject({ code });
  expect(await readdir(folder)).toEqual(["file"]);
});

test("TM-W-07 a lock file that a dead process left keeps nobody out; a link in its place is not followed", async () => {
  const path = join(await freshFolder(), "s");
  await writeFile(`${path}.lock`, "");
  const listener = await listenAt(path);
  expect(await listener.holdsPath()).toBe(true);
  await listener.close(0);
  await unlink(`${path}.lock`);
  await symlink(`${path}.victim`, `${path}.lock`);
  await expect(listenAt(path)).rejects.toMatchObject({ code: "SOCKET_FAILED" });
  expect(await readdir(dirname(path))).toEqual(["s.lock"]);
});

test("TM-W-07 a server that knows nothing of our lock is not replaced either", async () => {
  const path = join(await freshFolder(), "s");
  const stranger = await strangerAt(path);
  onTestFinished(() => void stranger.close());
  await expect(listenAt(path)).rejects.toMatchObject({ code: "SOCKET_IN_USE" });
  expect((await lstat(path)).isSocket()).toBe(true);
});

test("TM-W-07 a lock has one holder at a time, however often it is given up and taken", async () => {
  const path = join(await freshFolder(), "s");
  let holders = 0;
  let taken = 0;
  async function contend(): Promise<void> {
    for (let tries = 0; tries < 300; tries += 1) {
      const lock = await lockPath(path);
      if (lock === undefined) continue;
      holders += 1;
      taken += 1;
      expect(holders).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      holders -= 1;
      await lock.release();
    }
  }
  await Promise.all(Array.from({ length: 4 }, contend));
  expect(taken).toBeGreaterThan(4);
  expect(await readdir(dirname(path))).toEqual(["s.lock"]);
});

test("TM-W-07 the socket is bound within its own folder, in a private one, and then gets its name", async () => {
  const folder = await freshFolder();
  await mkdir(join(folder, "run"));
  const seen: string[] = [];
  const sentinel = Promise.withResolvers<void>();
  const watching = ["", "run"].map((place) =>
    watch(join(folder, place), (_event, name) => {
      if (name === "sentinel") sentinel.resolve();
      else seen.push(join(place, name ?? ""));
    }),
  );
  const listener = await listenAt(join(folder, "run", "s"));
  await writeFile(join(folder, "sentinel"), "");
  await sentinel.promise;
  for (const one of watching) one.close();
  await listener.close(0);
  const names = [...new Set(seen)].filter((name) => name !== "run");
  const [lock, nursery, ...rest] = names;
  expect(lock).toBe("run/s.lock");
  expect(nursery).toMatch(/^run\/\.h\w{6}$/);
  expect(rest).toEqual(["run/s"]);
});

test("a relative path is refused", async () => {
  await expect(listenAt("herald.sock")).rejects.toMatchObject({ code: "ADDRESS_INVALID" });
});
