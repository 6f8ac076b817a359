import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { RpcError } from "../../src/rpc/error.ts";
import { linuxPeerReader } from "../../src/rpc/linux-peer.ts";
import type { Peer } from "../../src/rpc/peer.ts";
import { freshFolder, queue } from "./support/listening.ts";

type Read = Peer | RpcError;

/** A bare socket whose connections are read and then left alone: nothing but the reader is under test. */
async function readingSocket(pidfdFrom: "socket" | "pid") {
  const path = join(await freshFolder(), "s");
  const reader = linuxPeerReader({ pidfdFrom });
  const read = queue<Read>();
  const held: Peer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    read.put(attempt(reader.read.bind(reader), socket, held));
  });
  server.listen(path);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const peer of held) peer.close();
  });
  return { path, next: read.next };
}

function attempt(read: (socket: Socket) => Peer, socket: Socket, held: Peer[]): Read {
  try {
    const peer = read(socket);
    held.push(peer);
    return peer;
  } catch (thrown) {
    if (thrown instanceof RpcError) return thrown;
    throw thrown;
  }
}

async function nextPeer(socket: { next: () => Promise<Read> }): Promise<Peer> {
  const read = await socket.next();
  if (read instanceof RpcError) throw read;
  return read;
}

const connectAndStay = "require('net').connect(process.argv[1]); setInterval(() => {}, 1e6)";

function spawnStaying(path: string) {
  const child = spawn(process.execPath, ["-e", connectAndStay, path]);
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

const ways = ["socket", "pid"] as const;

test.for(ways)("WEP-11 the kernel names the caller, pidfd from %s", async (way) => {
  const socket = await readingSocket(way);
  const child = spawnStaying(socket.path);
  const peer = await nextPeer(socket);
  expect(peer).toMatchObject({
    pid: child.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
  expect(peer.isAlive()).toBe(true);
});

test.for(ways)(
  "TM-W-01 a caller that ends is dead while its pid is held, pidfd from %s",
  async (way) => {
    const socket = await readingSocket(way);
    const child = spawnStaying(socket.path);
    const peer = await nextPeer(socket);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(peer.isAlive()).toBe(false);
  },
);

test("TM-W-01 a zombie is dead, though its pid still answers", async () => {
  const socket = await readingSocket("socket");
  // The shell's child connects and ends; the shell has become `sleep`, which never reaps it.
  const script = `"${process.execPath}" -e "$1" "$2" & exec sleep 1000`;
  const parent = spawn("sh", ["-c", script, "sh", connectAndStay, socket.path]);
  onTestFinished(() => void parent.kill("SIGKILL"));
  const peer = await nextPeer(socket);
  const state = () => readFileSync(`/proc/${peer.pid}/stat`, "utf8").replace(/^.*\) /, "")[0];
  process.kill(peer.pid, "SIGKILL");
  // The first thread is a zombie while others still end, so wait for our answer and look at the process then.
  while (peer.isAlive()) await new Promise((resolve) => setImmediate(resolve));
  expect(process.kill(peer.pid, 0)).toBe(true);
  expect(state()).toBe("Z");
});

test.for(ways)(
  "TM-W-01 who connects and dies before the accept is refused, pidfd from %s",
  async (way) => {
    const socket = await readingSocket(way);
    // spawnSync holds our event loop until the caller is dead and reaped: the accept comes after.
    spawnSync(process.execPath, [
      "-e",
      "require('net').connect(process.argv[1], () => process.exit())",
      socket.path,
    ]);
    const read = await socket.next();
    expect(read).toBeInstanceOf(RpcError);
    expect(read).toMatchObject({ code: "PEER_GONE" });
  },
);

const lastPid = "/proc/sys/kernel/ns_last_pid";
const canChoosePids = process.getuid?.() === 0 && existsSync(lastPid);

test.skipIf(!canChoosePids)(
  "TM-W-01 whoever gets the pid afterwards is not the caller",
  async () => {
    const socket = await readingSocket("socket");
    const caller = spawnStaying(socket.path);
    const peer = await nextPeer(socket);
    caller.kill("SIGKILL");
    await once(caller, "exit");
    // Others on this machine start processes too, so one try may miss the number.
    for (let tries = 0; tries < 200 && !existsSync(`/proc/${peer.pid}`); tries += 1) {
      writeFileSync(lastPid, String(peer.pid - 1));
      const successor = spawn("sleep", ["1000"]);
      onTestFinished(() => void successor.kill("SIGKILL"));
    }
    expect(existsSync(`/proc/${peer.pid}`)).toBe(true);
    expect(peer.isAlive()).toBe(false);
  },
);

test.skipIf(process.getuid?.() !== 0)(
  "TM-W-01 without SO_PEERPIDFD a process of another user is not taken for the caller",
  async () => {
    const socket = await readingSocket("pid");
    // Connects as root and is somebody else before our accept: just what a recycled pid looks like.
    const child = `require('net').connect(process.argv[1]); process.setuid(65534); console.log(process.pid);
      setInterval(() => {}, 1e6)`;
    const launcher = `const { spawn } = require('child_process');
      const child = spawn(process.execPath, ['-e', process.argv[1], process.argv[2]], { detached: true });
      child.stdout.once('data', (data) => { process.stdout.write(data); process.exit(); });`;
    const pid = execFileSync(process.execPath, ["-e", launcher, child, socket.path], {
      encoding: "utf8",
    });
    onTestFinished(() => void process.kill(Number(pid), "SIGKILL"));
    expect(await socket.next()).toMatchObject({ code: "PEER_GONE" });
  },
);

test("each connection has an id of its own; close gives the hold up, twice is fine", async () => {
  const socket = await readingSocket("socket");
  const clients = [connect(socket.path), connect(socket.path)];
  onTestFinished(() => {
    for (const client of clients) client.destroy();
  });
  const [first, second] = [await nextPeer(socket), await nextPeer(socket)];
  expect(first.id).not.toBe(second.id);
  first.close();
  first.close();
  expect(first.isAlive()).toBe(false);
  expect(second.isAlive()).toBe(true);
});

test("a socket that is closed already has no caller", () => {
  const closed = new (connect("/nowhere").on("error", () => {}).constructor as typeof Socket)();
  expect(() => linuxPeerReader().read(closed)).toThrow(
    expect.objectContaining({ code: "PEER_UNREADABLE" }),
  );
});
