import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { accountFiles, procCredentials } from "../../src/attest/adapters/linux-accounts.ts";
import { attestPeer, type PeerProcess } from "../../src/attest/attestation.ts";
import {
  type AccountNames,
  type ProcessCredentials,
  unixSelectors,
} from "../../src/attest/unix-selectors.ts";
import { linuxPeerReader } from "../../src/rpc/linux-peer.ts";
import type { Peer } from "../../src/rpc/peer.ts";
import { startChild } from "../rpc/support/children.ts";

const somebody: PeerProcess = { uid: 1000, gid: 100, pid: 42, isAlive: () => true };

const names: AccountNames = {
  userName: async (uid) => (uid === 1000 ? "web" : undefined),
  groupName: async (gid) => ({ 100: "users", 7: "lp" })[gid],
};

const now = (uid: number, gid: number): ProcessCredentials => ({
  credentialsOf: async () => ({ uid, gid, supplementaryGids: [7, 100, 9] }),
});

test("user and group of the connect are facts, as SPIRE writes them", async () => {
  expect(await attestPeer(somebody, [unixSelectors()])).toEqual(["unix:gid:100", "unix:uid:1000"]);
});

test("names and supplementary groups are facts where they can be read; who has no name has none", async () => {
  const source = unixSelectors({ names, processes: now(1000, 100) });
  expect(await attestPeer(somebody, [source])).toEqual([
    "unix:gid:100",
    "unix:group:users",
    "unix:supplementary_gid:100",
    "unix:supplementary_gid:7",
    "unix:supplementary_gid:9",
    "unix:supplementary_group:lp",
    "unix:supplementary_group:users",
    "unix:uid:1000",
    "unix:user:web",
  ]);
  expect(await attestPeer({ ...somebody, uid: 5, gid: 5 }, [unixSelectors({ names })])).toEqual([
    "unix:gid:5",
    "unix:uid:5",
  ]);
});

test.for([
  ["sudo", 0, 100],
  ["newgrp", 1000, 0],
  ["unreadable credentials", Number.NaN, Number.NaN],
] as const)(
  "TM-W-02 after exec of %s the groups are somebody else's, so nothing is given",
  async ([, uid, gid]) => {
    const source = unixSelectors({ processes: now(uid, gid) });
    await expect(attestPeer(somebody, [source])).rejects.toMatchObject({ code: "PEER_CHANGED" });
  },
);

test("this very process is described as id(1) does", async () => {
  const id = (option: string): string => execFileSync("id", [option], { encoding: "utf8" }).trim();
  const self: PeerProcess = {
    uid: Number(id("-u")),
    gid: Number(id("-g")),
    pid: process.pid,
    isAlive: () => true,
  };
  const found = await attestPeer(self, [
    unixSelectors({ names: accountFiles(), processes: procCredentials() }),
  ]);
  expect(found).toContain(`unix:uid:${id("-u")}`);
  expect(found).toContain(`unix:user:${id("-un")}`);
  expect(found).toContain(`unix:group:${id("-gn")}`);
  // Node adds the effective group of its own accord.
  const groups = (process.getgroups?.() ?? []).filter((gid) => gid !== self.gid);
  expect(found).toEqual(
    expect.arrayContaining(groups.map((gid) => `unix:supplementary_gid:${gid}`)),
  );
});

test("TM-W-08 lines of passwd that are no entries give no names", async () => {
  const folder = await mkdtemp(join(tmpdir(), "herald-attest-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const passwd = join(folder, "passwd");
  const lines = [
    "# comment",
    "web:x:1000:100::/:/bin/sh",
    "second:x:1000:100::/:/bin/sh",
    "bad name:x:1001:1",
    "evil,unix:user:root:x:1002:1",
    ":x:1003:1",
    "+::::::",
    "plus:x:+1004:1",
    "host$:x:1005:1",
    "short",
    "",
  ];
  await writeFile(passwd, lines.join("\n"));
  const accounts = accountFiles({ passwd });
  const found = await Promise.all(
    [0, 1000, 1001, 1002, 1003, 1004, 1005].map(async (uid) => await accounts.userName(uid)),
  );
  expect(found).toEqual([undefined, "web", undefined, undefined, undefined, undefined, "host$"]);

  await writeFile(`${passwd}.new`, "renamed:x:1000:100::/:/bin/sh\n");
  await rename(`${passwd}.new`, passwd);
  expect(await accounts.userName(1000)).toBe("renamed");
});

test("WEP-13 a passwd that cannot be read is a failure, not a user without a name", async () => {
  const source = unixSelectors({ names: accountFiles({ passwd: "/nonexistent/passwd" }) });
  await expect(attestPeer(somebody, [source])).rejects.toMatchObject({ code: "SOURCE_FAILED" });
});

/** A real process that connects, and what the kernel says of it. */
async function connected(): Promise<{ peer: Peer; child: ReturnType<typeof startChild> }> {
  const folder = await mkdtemp(join(tmpdir(), "herald-attest-"));
  const server = createServer();
  server.listen(join(folder, "s"));
  await once(server, "listening");
  const child = startChild("../../attest/support/changing-child.ts", [join(folder, "s")]);
  const [socket] = (await once(server, "connection")) as [
    Parameters<ReturnType<typeof linuxPeerReader>["read"]>[0],
  ];
  socket.on("error", () => {});
  const peer = linuxPeerReader().read(socket);
  onTestFinished(async () => {
    peer.close();
    await child.kill();
    server.close();
    await rm(folder, { recursive: true });
  });
  return { peer, child };
}

const real = unixSelectors({ names: accountFiles(), processes: procCredentials() });

test("TM-W-01 a real caller is described while it lives, and not after", async () => {
  const { peer, child } = await connected();
  expect(await attestPeer(peer, [real])).toContain(`unix:uid:${process.getuid?.()}`);
  await child.kill();
  await expect(attestPeer(peer, [real])).rejects.toMatchObject({ code: "PEER_GONE" });
});

test.skipIf(process.getuid?.() !== 0)(
  "TM-W-02 a real caller that becomes another user after connecting gets nothing",
  async () => {
    const { peer, child } = await connected();
    child.send("become nobody");
    expect(await child.line()).toBe("65534");
    await expect(attestPeer(peer, [real])).rejects.toMatchObject({ code: "PEER_CHANGED" });
  },
);
