import { expect, test } from "vitest";
import { attestPeer, type PeerProcess, type SelectorSource } from "../../src/attest/attestation.ts";
import { AttestError } from "../../src/attest/error.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";

function peer(isAlive: () => boolean = () => true): PeerProcess {
  return { uid: 1000, gid: 1000, pid: 42, isAlive };
}

const says = (...texts: readonly string[]): SelectorSource => ({
  selectorsOf: async () => texts.map(parseSelector),
});

const fails = (thrown: Error): SelectorSource => ({
  selectorsOf: async () => {
    throw thrown;
  },
});

test("what all sources say is sorted, each once", async () => {
  const sources = [says("unix:uid:1", "b:2"), says("a:1", "unix:uid:1"), says()];
  expect(await attestPeer(peer(), sources)).toEqual(["a:1", "b:2", "unix:uid:1"]);
});

test("TM-W-01 of a dead process nothing is read", async () => {
  let asked = 0;
  const source: SelectorSource = {
    async selectorsOf() {
      asked += 1;
      return [];
    },
  };
  await expect(
    attestPeer(
      peer(() => false),
      [source],
    ),
  ).rejects.toMatchObject({ code: "PEER_GONE" });
  expect(asked).toBe(0);
});

test.for<[string, SelectorSource]>([
  ["it was read", says("unix:uid:1")],
  ["a source stumbled over it", fails(new Error("ENOENT: /proc/42/status"))],
  ["another process was found there", fails(new AttestError("PEER_CHANGED", "x"))],
])("TM-W-01 a process that dies while %s gets nothing", async ([, source]) => {
  let alive = true;
  const dying: SelectorSource = {
    async selectorsOf(peer) {
      alive = false;
      return await source.selectorsOf(peer);
    },
  };
  await expect(
    attestPeer(
      peer(() => alive),
      [dying],
    ),
  ).rejects.toMatchObject({ code: "PEER_GONE" });
});

test("TM-W-01 it must be alive after the slowest source", async () => {
  let alive = true;
  const slow = Promise.withResolvers<void>();
  const late: SelectorSource = {
    async selectorsOf() {
      await slow.promise;
      return [];
    },
  };
  const attested = attestPeer(
    peer(() => alive),
    [fails(new Error("early")), late, says("a:1")],
  );
  alive = false;
  slow.resolve();
  await expect(attested).rejects.toMatchObject({ code: "PEER_GONE" });
});

test("WEP-13 a failed source fails the whole: fewer facts would look like no identity", async () => {
  const cause = new Error("no /proc");
  await expect(attestPeer(peer(), [says("a:1"), fails(cause)])).rejects.toMatchObject({
    code: "SOURCE_FAILED",
    cause,
  });
});
