import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import {
  claimOf,
  openEnvelope,
  sealEnvelope,
  verifyingKey,
} from "../../../src/core/envelope/envelope.ts";
import {
  algsOf,
  type Kind,
  kindOf,
  kinds,
  payloadTypeOf,
} from "../../../src/core/envelope/kinds.ts";
import { nodeSigner, spkiOf } from "../../../src/core/envelope/signers.ts";
import { ControlTrust, onlyKey } from "../../../src/core/envelope/trust.ts";
import { now, pin, signerFor, signers, trustDomain } from "./support/keys.ts";
import { finderFor, openAs, outcomeOf } from "./support/open.ts";
import { allKinds, samples } from "./support/samples.ts";

const sealed = new Map<Kind, { readonly bytes: Buffer; readonly digest: string }>();

beforeAll(async () => {
  for (const kind of allKinds)
    sealed.set(kind, await sealEnvelope(kind, samples[kind], signerFor(kind)));
});

const envelopeOf = (kind: Kind): Buffer => sealed.get(kind)?.bytes ?? Buffer.alloc(0);

test("there is a sample of each kind", () => {
  expect(allKinds.toSorted()).toEqual(Object.keys(kinds).toSorted());
});

describe("TM-B-08 type confusion", () => {
  test.for(allKinds)("a signed %s is taken for no other kind", (offered) => {
    const outcomes = allKinds.map((kind) => [
      kind,
      outcomeOf(() => openAs(envelopeOf(offered), kind)),
    ]);
    expect(outcomes).toEqual(
      allKinds.map((kind) => [kind, kind === offered ? "ok" : "ENVELOPE_KIND"]),
    );
  });

  test.for(allKinds)("a signed %s that is called by another kind's name is refused", (offered) => {
    for (const kind of allKinds.filter((one) => one !== offered)) {
      const renamed = envelopeOf(offered)
        .toString("utf8")
        .replace(payloadTypeOf(offered), payloadTypeOf(kind));
      const outcome = outcomeOf(() => openAs(Buffer.from(renamed), kind));
      expect(outcome, kind).toMatch(/^ENVELOPE_SIGN(ER|ATURE)$/);
    }
  });

  test("no payload has the shape of two kinds", () => {
    const written = (kind: Kind): unknown =>
      JSON.parse(Buffer.from(claimedPayload(envelopeOf(kind)), "base64").toString("utf8"));
    const mistaken = allKinds.flatMap((offered) =>
      allKinds
        .filter((kind) => kind !== offered && kinds[kind].shape.safeParse(written(offered)).success)
        .map((kind) => `${offered} as ${kind}`),
    );
    expect(mistaken).toEqual([]);
  });
});

describe("TM-B-01 forgery", () => {
  test.for(allKinds)("a %s with any one byte changed is refused", (kind) => {
    const good = envelopeOf(kind);
    const finder = finderFor(kinds[kind].role);
    const bent = Buffer.from(good);
    const accepted: number[] = [];
    for (let at = 0; at < good.length; at += 1) {
      bent[at] = good.readUInt8(at) ^ (at % 2 === 0 ? 1 : 2);
      if (outcomeOf(() => openEnvelope(bent, [kind], finder)) === "ok") accepted.push(at);
      bent[at] = good.readUInt8(at);
    }
    expect(accepted).toEqual([]);
    expect(outcomeOf(() => openEnvelope(bent, [kind], finder))).toBe("ok");
  });

  test.for(allKinds)("a %s that is cut off or added to is refused", (kind) => {
    const good = envelopeOf(kind);
    expect(outcomeOf(() => openAs(good.subarray(0, -1), kind))).toBe("PAYLOAD_NOT_COMPACT");
    expect(outcomeOf(() => openAs(Buffer.concat([good, Buffer.from(" ")]), kind))).toBe(
      "PAYLOAD_NOT_COMPACT",
    );
    expect(outcomeOf(() => openAs(Buffer.alloc(0), kind))).toBe("PAYLOAD_NOT_COMPACT");
  });

  const strangers = allKinds.flatMap((kind) =>
    (["root", "control", "token", "node", "operator-ca"] as const)
      .filter((role) => role !== kinds[kind].role)
      .map((role) => [kind, role] as const),
  );
  test.for(strangers)("a %s that is signed by a %s key is refused", async ([kind, role]) => {
    const signer = signers[role];
    const { bytes } = await sealEnvelope(kind, samples[kind], signer);
    expect(outcomeOf(() => openAs(bytes, kind))).toMatch(/^ENVELOPE_SIGN(ER|ATURE)$/);
    // Nor does the wrong role's key help by claiming the right one's algorithm.
    const claimed = await sealEnvelope(kind, samples[kind], {
      ...signer,
      alg: algsOf(kind)[0] ?? "EdDSA",
    });
    expect(outcomeOf(() => openAs(claimed.bytes, kind))).toMatch(
      /^(ENVELOPE_SIGN(ER|ATURE)|ENVELOPE_KIND)$/,
    );
  });

  test.for(allKinds)(
    "the root vouches for no token's and no node's %s, nor they for its",
    (kind) => {
      const { role } = kinds[kind];
      const wrong = role === "root" || role === "control" ? "token" : "control";
      expect(outcomeOf(() => openEnvelope(envelopeOf(kind), [kind], finderFor(wrong)))).toBe(
        "ENVELOPE_SIGNER",
      );
    },
  );
});

test("a payload is not looked at before its signature held", async () => {
  const { bytes } = await sealEnvelope("head", samples.head, signers.control);
  const parsed = JSON.parse(bytes.toString("utf8")) as { payload: string };
  const bent = { ...parsed, payload: Buffer.from("not JSON").toString("base64") };
  expect(outcomeOf(() => openAs(Buffer.from(JSON.stringify(bent)), "head"))).toBe(
    "ENVELOPE_SIGNATURE",
  );
});

test("one good signature among others suffices, and its signer is named", async () => {
  const { bytes } = await sealEnvelope("ack", samples.ack, signers.node);
  const envelope = JSON.parse(bytes.toString("utf8")) as { signatures: object[] };
  const other = { keyid: "0".repeat(64), alg: "ES256", sig: "AA==" };
  const both = Buffer.from(
    JSON.stringify({ ...envelope, signatures: [other, ...envelope.signatures] }),
  );
  const opened = openAs(both, "ack");
  expect(opened.keyId).toBe(signers.node.keyId);
  // Signatures may be added, the digest stays.
  expect(opened.digest).toBe(openAs(bytes, "ack").digest);
});

test.for([
  ["no signature", []],
  [
    "seventeen signatures",
    Array.from({ length: 17 }, () => ({ keyid: "0".repeat(64), alg: "EdDSA", sig: "" })),
  ],
] as const)("an envelope with %s is malformed", ([, signatures]) => {
  const bytes = Buffer.from(
    JSON.stringify({ payloadType: payloadTypeOf("head"), payload: "", signatures }),
  );
  expect(outcomeOf(() => openAs(bytes, "head"))).toBe("ENVELOPE_MALFORMED");
});

test.for(["", "AA==", Buffer.alloc(63).toString("base64"), Buffer.alloc(65).toString("base64")])(
  "a signature of the wrong length (%j) is refused, for either algorithm",
  (sig) => {
    for (const kind of ["ack", "head"] as const) {
      const envelope = JSON.parse(envelopeOf(kind).toString("utf8")) as { signatures: object[] };
      const [first] = envelope.signatures;
      const bent = { ...envelope, signatures: [{ ...first, sig }] };
      expect(outcomeOf(() => openAs(Buffer.from(JSON.stringify(bent)), kind))).toBe(
        "ENVELOPE_SIGNATURE",
      );
    }
  },
);

test("ES256 is P-256 and nothing else", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  expect(outcomeOf(() => verifyingKey(spkiOf(privateKey), "ES256"))).toBe("ENVELOPE_SIGNER");
  expect(outcomeOf(() => verifyingKey(Buffer.from("junk"), "ES256"))).toBe("ENVELOPE_SIGNER");
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const { bytes } = await sealEnvelope("ack", samples.ack, nodeSigner(own));
  const finder = onlyKey("node", verifyingKey(spkiOf(own), "ES256"));
  expect(openEnvelope(bytes, ["ack"], finder).payload).toEqual(samples.ack);
});

test("claimOf tells what is claimed, and believes nothing", () => {
  for (const kind of allKinds) {
    const claim = claimOf(envelopeOf(kind));
    expect(claim).toEqual({
      kind,
      digest: sealed.get(kind)?.digest,
      keyIds: [signerFor(kind).keyId],
    });
  }
  const unknown = JSON.stringify({
    payloadType: "application/vnd.herald.checkpoint.v1+json",
    payload: "",
    signatures: [{ keyid: "0".repeat(64), alg: "EdDSA", sig: "" }],
  });
  expect(claimOf(Buffer.from(unknown)).kind).toBeUndefined();
  expect(outcomeOf(() => claimOf(Buffer.from("{}")))).toBe("ENVELOPE_MALFORMED");
  expect(kindOf("application/vnd.herald.constructor.v1+json")).toBeUndefined();
});

test("what an issuer's journal holds is good after its certificate's days, but not after its key's revocation", () => {
  const trust = new ControlTrust({ trustDomain, pin });
  const bytes = envelopeOf("bundle");
  const late = now + 40 * 86_400_000;
  expect(outcomeOf(() => openEnvelope(bytes, ["bundle"], trust.at(late)))).toBe(
    "ENVELOPE_CERTIFICATE",
  );
  expect(outcomeOf(() => openEnvelope(bytes, ["bundle"], trust.atAnyTime()))).toBe("ok");
  trust.revoke([signers.control.keyId]);
  expect(outcomeOf(() => openEnvelope(bytes, ["bundle"], trust.atAnyTime()))).toBe(
    "ENVELOPE_CERTIFICATE",
  );
});

function claimedPayload(bytes: Uint8Array): string {
  return (JSON.parse(Buffer.from(bytes).toString("utf8")) as { payload: string }).payload;
}
