import { describe, expect, test } from "vitest";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { manifestKey } from "../../src/core/envelope/object-keys.ts";
import { controlSigner } from "../../src/core/envelope/signers.ts";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import {
  certificate,
  controlKeyPair,
  now,
  otherControlKey,
  otherRootKey,
  signers,
  trustDomain,
} from "../core/envelope/support/keys.ts";
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

test("TM-X-04 a head from the future sets no mark; one that clocks explain does", async () => {
  const view = newView();
  expect(offerHead(view, await head(1, 9, { at: now + 600_001 }))).toEqual(["alarm future"]);
  expect(view.highest).toBeNull();
  expect(offerHead(view, await head(1, 2, { at: now + 600_000 }))).toEqual(["head 1/2"]);
  expect(view.highest).toEqual({ epoch: 1n, term: 1n, n: 2n });
});

describe("foreign", () => {
  const other = parseTrustDomain("other.example");

  test("an object or a head of another trust domain, by a key of our own", async () => {
    const view = newView();
    expect(offer(view, (await index(v(1, 1), { td: other })).bytes)).toEqual(["alarm foreign"]);
    expect(offerHead(view, await head(1, 1, { td: other }))).toEqual(["alarm foreign"]);
    expect([view.versions(), view.head]).toEqual([{}, undefined]);
  });

  test("an object under another's key", async () => {
    const view = newView();
    const stranger = parseSpiffeId("spiffe://example.org/herald/node/join_token/web-2");
    for (const { bytes } of [
      await manifest(v(1, 1), { key: manifestKey(stranger), node: stranger }),
      await index(v(1, 1), { key: keys.bundle }),
      await bundle(v(1, 1), { key: "bundle.abcdefghijklmnopqrstuvwxyz" }),
    ])
      expect(offer(view, bytes)).toEqual(["alarm foreign"]);
    expect(view.versions()).toEqual({});
  });

  test("an object that was read under another key than its own", async () => {
    const view = newView();
    const { bytes } = await revocations(v(1, 1));
    expect(offer(view, bytes, keys.bundle)).toEqual(["alarm foreign"]);
    expect(offer(view, bytes, keys.revocations)).toEqual(["applied rev"]);
  });
});

describe("TM-B-01 forgery", () => {
  test("what the issuer did not sign changes nothing", async () => {
    const view = newView();
    offer(view, (await index(v(1, 1))).bytes);
    offerHead(view, await head(1, 1));
    const before = view.envelopes();
    const impostors = [
      controlSigner(otherControlKey, await certificate()),
      controlSigner(
        otherControlKey,
        await certificate({}, { key: otherControlKey, root: otherRootKey }),
      ),
      controlSigner(controlKeyPair, await certificate({ notAfter: now - 1 })),
      signers.node,
      signers.root,
    ];
    for (const impostor of impostors) {
      const payload = { ...samples["group-index"], version: v(9, 9) };
      const object = await sealEnvelope("group-index", payload, impostor);
      const forged = await sealEnvelope("head", { ...samples.head, term: 9n }, impostor);
      expect(offer(view, object.bytes)).toEqual(["alarm forged"]);
      expect(offerHead(view, forged.bytes)).toEqual(["alarm forged"]);
    }
    for (const junk of ["", "{}", "null"]) {
      expect(offer(view, Buffer.from(junk))).toEqual(["alarm forged"]);
      expect(offerHead(view, Buffer.from(junk))).toEqual(["alarm forged"]);
    }
    expect(view.envelopes()).toEqual(before);
  });

  test("TM-B-08 a head is no object, and no issuers' object is a node's", async () => {
    const view = newView();
    expect(offer(view, await head(1, 1))).toEqual(["alarm forged"]);
    expect(offerHead(view, (await index(v(1, 1))).bytes)).toEqual(["alarm forged"]);
    for (const kind of [
      "entry",
      "token",
      "node-record",
      "authority",
      "term",
      "state-reply",
    ] as const) {
      const { bytes } = await sealEnvelope(kind, samples[kind], signers.control);
      expect(offer(view, bytes), kind).toEqual(["alarm forged"]);
    }
  });

  test("an epoch statement that revokes a control key ends its word at once", async () => {
    const view = newView();
    expect(offer(view, (await index(v(1, 1))).bytes)).toEqual(["applied group"]);
    const revoking = await epoch(v(0, 2), { revokedKeys: [signers.control.keyId] });
    expect(offer(view, revoking.bytes)).toEqual(["applied control"]);
    expect(offer(view, (await index(v(2, 2))).bytes)).toEqual(["alarm forged"]);
    expect(offerHead(view, await head(2, 1))).toEqual(["alarm forged"]);
    const fresh = controlSigner(otherControlKey, await certificate({}, { key: otherControlKey }));
    const payload = {
      ...samples["group-index"],
      key: keys.index,
      td: trustDomain,
      version: v(2, 3),
    };
    const next = await sealEnvelope("group-index", payload, fresh);
    expect(offer(view, next.bytes)).toEqual(["applied group"]);
    // An older statement does not bring it back.
    expect(offer(view, (await epoch(v(0, 1))).bytes)).toEqual(["alarm rollback"]);
    expect(offer(view, (await index(v(2, 4))).bytes)).toEqual(["alarm forged"]);
  });
});
