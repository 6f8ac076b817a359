import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { linuxPeerReader } from "../../src/rpc/linux-peer.ts";
import type { PeerReader } from "../../src/rpc/peer.ts";
import { type Child, startChild } from "./support/children.ts";
import { freshFolder, keptLog, queue, serveWho, watchedReader } from "./support/listening.ts";
import { askWho, openHttp2, type Who } from "./support/who-service.ts";

function started(file: string, args: readonly string[], under?: readonly string[]): Child {
  const child = startChild(file, args, under);
  onTestFinished(async () => await child.kill());
  return child;
}

async function answersOf(child: Child): Promise<readonly Who[]> {
  return JSON.parse(await child.line()) as readonly Who[];
}

test("WEP-11 1,040 connections of four processes are told apart, whatever their headers say", async () => {
  const listener = await serveWho();
  const children = Array.from({ length: 4 }, () =>
    started("caller-child.ts", [listener.path, "260"]),
  );
  const answers = await Promise.all(children.map(answersOf));
  for (const [index, child] of children.entries()) {
    expect(new Set(answers[index]?.map(({ pid }) => pid))).toEqual(new Set([child.pid]));
  }
  const all = answers.flat();
  expect(new Set(all.map(({ id }) => id)).size).toBe(1040);
  expect(all.every(({ uid, alive }) => uid === process.getuid?.() && alive)).toBe(true);
  expect(listener.connections()).toBe(1040);
});

test("TM-W-02 an inherited connection stays the connecting task's, and is dead with it", async () => {
  const listener = await serveWho();
  const connecting = started("inheriting-child.ts", [listener.path]);
  const heir = Number(await connecting.line());
  const [before] = await answersOf(connecting);
  expect(before).toMatchObject({ pid: connecting.pid, alive: true });
  expect(heir).not.toBe(connecting.pid);

  // Our end of its standard input closes with it, upon which the heir asks once more.
  await connecting.kill();
  // The connection itself lives on: only its owner is gone.
  const [after] = await answersOf(connecting);
  expect(after).toMatchObject({ pid: connecting.pid, id: before?.id, alive: false });
});

test.skipIf(process.getuid?.() !== 0)(
  "TM-W-09 a caller in another PID namespace has its pid of the daemon's",
  async () => {
    const listener = await serveWho();
    const wrapper = started(
      "caller-child.ts",
      [listener.path],
      ["unshare", "--pid", "--fork", "--kill-child"],
    );
    const [who] = await answersOf(wrapper);
    // unshare's only child; inside, it is process 1.
    const inside = readFileSync(`/proc/${wrapper.pid}/task/${wrapper.pid}/children`, "utf8");
    expect(who?.pid).toBe(Number(inside));
    expect(who?.alive).toBe(true);
  },
);

test.skipIf(process.getuid?.() !== 0)(
  "TM-W-09 a caller whom the daemon's PID namespace does not show is refused",
  async () => {
    const path = join(await freshFolder(), "s");
    const daemon = started(
      "serving-child.ts",
      [path],
      ["unshare", "--pid", "--fork", "--kill-child"],
    );
    expect(await daemon.line()).toBe("serving");
    const socket = connect(path);
    await once(socket, "close");
    expect(await daemon.line()).toBe("PEER_FOREIGN");
  },
);

test.for<[string, () => never, string]>([
  [
    "a typed refusal",
    linuxPeerReader().read.bind(
      undefined,
      connect("/nowhere").on("error", () => {}),
    ) as () => never,
    "PEER_UNREADABLE",
  ],
  [
    "anything thrown",
    () => {
      throw new Error("boom");
    },
    "PEER_UNREADABLE",
  ],
])("MEC-10 unreadable credentials get nothing: %s", async ([, read, code]) => {
  const { log, lines } = keptLog();
  const refusals = queue<string>();
  const peers: PeerReader = { read };
  const listener = await serveWho({ peers, log, onRefused: (reason) => refusals.put(reason.code) });
  const socket = connect(listener.path);
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  await once(socket, "close");
  expect(await refusals.next()).toBe(code);
  expect(received).toEqual([]);
  expect(listener.refused()).toBe(1);
  expect(listener.connections()).toBe(0);
  expect(lines).toMatchObject([{ level: "warn", fields: { code } }]);
});

test("TM-W-05 one user's connections are bounded, and room is made when one ends", async () => {
  const refusals = queue<string>();
  const gone = queue<true>();
  const peers = watchedReader(() => gone.put(true));
  const listener = await serveWho({
    peers,
    maxConnectionsPerUser: 2,
    onRefused: (reason) => refusals.put(reason.code),
  });
  const [first] = [await openHttp2(listener.path), await openHttp2(listener.path)];
  connect(listener.path).on("error", () => {});
  expect(await refusals.next()).toBe("PEER_TOO_MANY");
  await gone.next();
  first.close();
  await gone.next();
  const third = await openHttp2(listener.path);
  expect((await askWho(third)).alive).toBe(true);
  expect(listener.connections()).toBe(2);
});

test("MEC-10 2,000 connections leave no peer, no pidfd and no descriptor behind", async () => {
  const gone = queue<true>();
  const listener = await serveWho({ peers: watchedReader(() => gone.put(true)) });
  const before = descriptors().sockets;
  for (let batch = 0; batch < 20; batch += 1) {
    const sessions = await Promise.all(
      Array.from({ length: 100 }, async () => await openHttp2(listener.path)),
    );
    const closed = sessions.map(async (session, index) => {
      const ended = once(session, "close");
      if (index % 2 === 0) session.close();
      else session.destroy();
      await ended;
    });
    await Promise.all([...closed, ...sessions.map(gone.next)]);
  }
  expect(listener.connections()).toBe(0);
  expect(descriptors().pidfds).toBe(0);
  expect(descriptors().sockets).toBeLessThanOrEqual(before);
});

function descriptors(): { readonly sockets: number; readonly pidfds: number } {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The descriptor of this very listing.
      return "";
    }
  });
  return {
    sockets: targets.filter((target) => target.startsWith("socket:")).length,
    pidfds: targets.filter((target) => target.includes("pidfd")).length,
  };
}
