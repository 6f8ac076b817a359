import { describe, expect, test } from "vitest";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { controlSigner } from "../../src/core/envelope/signers.ts";
import { certificate, now, otherControlKey, signers } from "../core/envelope/support/keys.ts";
import { samples } from "../core/envelope/support/samples.ts";
import { newView, offer, offerHead } from "../identity/support/node-view.ts";
import {
  bundle,
  epoch,
  head,
  index,
  keys,
  manifest,
  revocations,
  v,
} from "../identity/support/signed-state.ts";

test("a node reads its own keys, what others refer to first", () => {
  expect(newView().keys).toEqual([
    keys.control,
    keys.revocations,
    keys.bundle,
    keys.index,
    keys.manifest,
  ]);
});

describe("TM-B-02 rollback", () => {
  test("an older version is refused, the same one is nothing new", async () => {
    const view = newView();
    const [older, newer] = [await index(v(1, 7)), await index(v(1, 8))];
    expect(offer(view, newer.bytes)).toEqual(["applied group"]);
    expect(offer(view, older.bytes)).toEqual(["alarm rollback"]);
    expect(offer(view, newer.bytes)).toEqual([]);
    expect(view.versions()).toEqual({ [keys.index]: v(1, 8) });
  });

  test("the marks hold over a restart, for objects and heads", async () => {
    const before = newView();
    const old = [await revocations(v(1, 1)), await bundle(v(1, 2)), await manifest(v(1, 3))];
    const newer = [await revocations(v(1, 4)), await bundle(v(1, 5)), await manifest(v(1, 6))];
    const [oldHead, newHead] = [await head(1, 1, { of: old }), await head(1, 2, { of: newer })];
    for (const { bytes } of newer) before.offer(bytes, now);
    before.offerHead(newHead, now);

    const after = newView();
    for (const bytes of before.envelopes()) after.offer(bytes, now);
    for (const bytes of before.envelopes()) after.offerHead(bytes, now);
    expect(after.versions()).toEqual(before.versions());
    expect(after.highest).toEqual({ epoch: 1n, term: 1n, n: 2n });
    for (const { bytes } of old) expect(offer(after, bytes)).toEqual(["alarm rollback"]);
    expect(offerHead(after, oldHead)).toEqual([]);
    expect(after.envelopes()).toEqual(before.envelopes());
  });

  test("a node without anything is not given less than the head names", async () => {
    const view = newView();
    const [older, newer] = [await index(v(1, 7)), await index(v(1, 8))];
    offerHead(view, await head(1, 1, { of: [newer] }));
    expect(offer(view, older.bytes)).toEqual(["alarm rollback"]);
    expect(view.get("group-index")).toBeUndefined();
    expect(offer(view, newer.bytes)).toEqual(["applied group"]);
  });

  test("TM-R-04 a store that starts anew at seq 1 is refused until the root says a new epoch", async () => {
    const view = newView();
    offer(view, (await index(v(3, 9000))).bytes);
    expect(offer(view, (await index(v(1, 1))).bytes)).toEqual(["alarm rollback"]);
    expect(offer(view, (await index(v(1, 1, 2))).bytes)).toEqual(["applied group"]);
  });
});

describe("TM-B-03 a new bundle with old revocations", () => {
  test("waits until the revocations it goes with are there", async () => {
    const view = newView();
    const old = await bundle(v(1, 2), { revocations: v(1, 1) });
    const young = await bundle(v(1, 5), { revocations: v(1, 4) });
    expect(offer(view, (await revocations(v(1, 1))).bytes)).toEqual(["applied rev"]);
    expect(offer(view, old.bytes)).toEqual(["applied bundle"]);
    expect(offer(view, young.bytes)).toEqual(["fetch rev"]);
    expect(view.get("bundle")?.digest).toBe(old.ref.digest);
    expect(offer(view, (await revocations(v(1, 3))).bytes)).toEqual(["applied rev", "fetch rev"]);
    expect(view.get("bundle")?.digest).toBe(old.ref.digest);
    expect(offer(view, (await revocations(v(1, 4))).bytes)).toEqual([
      "applied rev",
      "applied bundle",
    ]);
    expect(view.get("bundle")?.digest).toBe(young.ref.digest);
  });

  test("one that waits for longer keeps back none that is ready", async () => {
    const view = newView();
    const [ready, waits] = [
      await bundle(v(1, 5), { revocations: v(1, 4) }),
      await bundle(v(1, 9), { revocations: v(1, 8) }),
    ];
    // In either order of arrival, and twice.
    for (const one of [waits, ready, waits]) expect(offer(view, one.bytes)).toEqual(["fetch rev"]);
    expect(offer(view, (await revocations(v(1, 4))).bytes)).toEqual([
      "applied rev",
      "applied bundle",
      "fetch rev",
    ]);
    expect(view.versions()[keys.bundle]).toEqual(v(1, 5));
    expect(offer(view, (await revocations(v(1, 8))).bytes)).toEqual([
      "applied rev",
      "applied bundle",
    ]);
    expect(view.versions()[keys.bundle]).toEqual(v(1, 9));
  });

  test("objects of the head before are refused under the new head", async () => {
    const view = newView();
    const old = [await revocations(v(1, 1)), await bundle(v(1, 2))];
    const young = [await revocations(v(1, 3)), await bundle(v(1, 4), { revocations: v(1, 3) })];
    expect(offerHead(view, await head(1, 2, { of: young }))).toEqual([
      "head 1/2",
      "fetch rev",
      "fetch bundle",
    ]);
    for (const { bytes } of old) expect(offer(view, bytes)).toEqual(["alarm rollback"]);
    expect(view.versions()).toEqual({});
  });
});

describe("terms", () => {
  test("a leader's work from before the newest head's term is refused, unless that head names it", async () => {
    const view = newView();
    const kept = await index(v(1, 5));
    offerHead(view, await head(2, 1, { of: [kept] }));
    expect(offer(view, (await manifest(v(1, 6))).bytes)).toEqual(["alarm old-term"]);
    expect(offer(view, (await index(v(1, 6))).bytes)).toEqual(["alarm old-term"]);
    expect(offer(view, (await index(v(1, 5), { pages: [page] })).bytes)).toEqual([
      "alarm old-term",
    ]);
    expect(offer(view, kept.bytes)).toEqual(["applied group"]);
    expect(offer(view, (await manifest(v(2, 1))).bytes)).toEqual(["applied node"]);
    expect(offer(view, (await manifest(v(3, 1))).bytes)).toEqual(["applied node"]);
  });

  test("the root outranks terms: its statement carries none", async () => {
    const view = newView();
    offerHead(view, await head(7, 1));
    expect(offer(view, (await epoch(v(0, 1))).bytes)).toEqual(["applied control"]);
    expect(offer(view, (await epoch(v(0, 1, 2))).bytes)).toEqual(["applied control"]);
  });

  test("an older epoch is older, whatever its term", async () => {
    const view = newView();
    offerHead(view, await head(1, 1, { epoch: 2n }));
    expect(offer(view, (await manifest(v(9, 9))).bytes)).toEqual(["alarm old-term"]);
    expect(offer(view, (await manifest(v(1, 1, 2))).bytes)).toEqual(["applied node"]);
  });
});

describe("epochs are the root's", () => {
  test("what claims a later one than its statement waits for that, and is read again then", async () => {
    const view = newView();
    offer(view, (await epoch(v(0, 1))).bytes);
    const [early, other] = [await manifest(v(1, 9, 2)), await index(v(1, 8, 2))];
    const newest = await head(1, 1, { epoch: 2n, of: [other] });
    for (const { bytes } of [early, other])
      expect(offer(view, bytes)).toEqual(["alarm other-epoch", "fetch control"]);
    expect(offerHead(view, newest)).toEqual(["alarm other-epoch", "fetch control"]);
    expect([Object.keys(view.versions()), view.head]).toEqual([[keys.control], undefined]);
    expect(offer(view, (await epoch(v(0, 10, 2))).bytes)).toEqual([
      "applied control",
      "head 1/1",
      "fetch group",
      "applied node",
      "applied group",
      "fetch rev",
      "fetch bundle",
      "fetch group",
      "fetch node",
    ]);
    expect(view.versions()).toMatchObject({
      [keys.manifest]: v(1, 9, 2),
      [keys.index]: v(1, 8, 2),
    });
  });

  test("one that claims an epoch of its own moves no mark", async () => {
    const view = newView();
    offer(view, (await epoch(v(0, 1))).bytes);
    offer(view, (await index(v(1, 5))).bytes);
    const last = 2 ** 32;
    expect(offer(view, (await index(v(1, 1, last))).bytes)).toContain("alarm other-epoch");
    expect(offer(view, (await index(v(1, 6))).bytes)).toEqual(["applied group"]);
    expect(offer(view, (await epoch(v(0, 2, 2))).bytes)).toContain("fetch group");
    expect(view.versions()[keys.index]).toEqual(v(1, 6));
    expect(offer(view, (await index(v(1, 1, 2))).bytes)).toEqual(["applied group"]);
  });

  test("what waited does not outlive the revocation of its key", async () => {
    const view = newView();
    offer(view, (await epoch(v(0, 1))).bytes);
    offer(view, (await bundle(v(1, 5), { revocations: v(1, 4) })).bytes);
    offer(view, (await index(v(1, 5, 2))).bytes);
    offerHead(view, await head(1, 1, { epoch: 2n }));
    const rev = await revocations(v(1, 4));
    const revoking = await epoch(v(0, 2, 2), { revokedKeys: [signers.control.keyId] });
    expect(offer(view, revoking.bytes)[0]).toBe("applied control");
    expect(offer(view, rev.bytes)).toEqual(["alarm forged"]);
    const fresh = controlSigner(otherControlKey, await certificate({}, { key: otherControlKey }));
    const payload = { ...samples.revocations, version: v(1, 6, 2) };
    const next = await sealEnvelope("revocations", payload, fresh);
    expect(offer(view, next.bytes)).toEqual(["applied rev"]);
    expect([Object.keys(view.versions()), view.head]).toEqual([
      [keys.control, keys.revocations],
      undefined,
    ]);
  });
});

const page = { key: "group.abc", sha256: "0".repeat(64) };

describe("equivocation", () => {
  test("one version with two contents is alarmed and not applied", async () => {
    const view = newView();
    const [one, other] = [await index(v(1, 5)), await index(v(1, 5), { pages: [page] })];
    offer(view, one.bytes);
    expect(offer(view, other.bytes)).toEqual(["alarm equivocation"]);
    expect(view.get("group-index")?.digest).toBe(one.ref.digest);
  });

  test("two heads of one number are alarmed, and the first stays", async () => {
    const view = newView();
    offerHead(view, await head(1, 1));
    expect(offerHead(view, await head(1, 1, { ackSpreadMs: 5 }))).toEqual(["alarm equivocation"]);
    expect(view.head?.ackSpreadMs).toBe(0);
  });
});

describe("MEC-07 heads", () => {
  test("the newer one counts, by epoch, then term, then number", async () => {
    const view = newView();
    const heads = [
      await head(1, 1),
      await head(1, 2),
      await head(2, 1),
      await head(1, 1, { epoch: 2n }),
    ];
    const seen = heads.map((bytes) => offerHead(view, bytes));
    expect(seen).toEqual([["head 1/1"], ["head 1/2"], ["head 2/1"], ["head 1/1"]]);
    for (const bytes of heads) expect(offerHead(view, bytes)).toEqual([]);
    expect(view.highest).toEqual({ epoch: 2n, term: 1n, n: 1n });
  });

  test("what is held as named is not fetched, what is behind or missing is, what is not ours is not", async () => {
    const view = newView();
    const held = await revocations(v(1, 1));
    const behind = await index(v(1, 2));
    offer(view, held.bytes);
    offer(view, behind.bytes);
    const strange = { ...held, key: "rev.abcdefghijklmnopqrstuvwxyz" };
    const of = [held, await index(v(1, 3)), await bundle(v(1, 4)), strange];
    expect(offerHead(view, await head(1, 1, { of }))).toEqual([
      "head 1/1",
      "fetch group",
      "fetch bundle",
    ]);
  });

  test("an object that is newer than its head is taken at once", async () => {
    const view = newView();
    offerHead(view, await head(1, 1, { of: [await index(v(1, 3))] }));
    expect(offer(view, (await index(v(1, 4))).bytes)).toEqual(["applied group"]);
  });
});
