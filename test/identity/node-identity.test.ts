import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { openEnvelope, verifyingKey } from "../../src/core/envelope/envelope.ts";
import { formatJoinString, parseJoinString } from "../../src/core/envelope/join-string.ts";
import { sealSecret } from "../../src/core/envelope/sealed-secret.ts";
import { spkiOf } from "../../src/core/envelope/signers.ts";
import { onlyKey } from "../../src/core/envelope/trust.ts";
import { readCsr } from "../../src/core/x509/csr.ts";
import { joinTokenProof } from "../../src/identity/enrolment-proof.ts";
import { IdentityError } from "../../src/identity/error.ts";
import { NodeIdentity } from "../../src/identity/node-identity.ts";
import { nodeKey, pin, seeds, signers } from "../core/envelope/support/keys.ts";
import { openAs } from "../core/envelope/support/open.ts";
import { node } from "../core/envelope/support/samples.ts";
import { Asking, replyTo, requestOf } from "./support/answering.ts";
import {
  Crash,
  identityOptions,
  keyIdOfKey,
  nodeLeaf,
  TestIdentityStore,
} from "./support/identity-world.ts";

const join = parseJoinString(
  formatJoinString({ token: "t1", seed: Buffer.from(seeds.token, "hex"), pin }),
);
const strangersX25519 = generateKeyPairSync("x25519").publicKey;
const bus = { servers: ["tls://new:4222"], brokerPins: ["c".repeat(64)] };
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** A node without or with an identity, and an issuer that certifies any key. */
class World extends Asking {
  readonly store: TestIdentityStore;
  /** The public keys that were asked for, in order. */
  readonly asked: string[] = [];
  /** Bends the issuer's answers. */
  leafOf: (spki: Uint8Array) => Uint8Array = nodeLeaf;
  sealingKeyOf: (asked: string) => KeyObject = (asked) =>
    createPublicKey({ key: Buffer.from(asked, "base64"), format: "der", type: "spki" });

  constructor(store: TestIdentityStore = new TestIdentityStore()) {
    super();
    this.store = store;
  }

  get options() {
    return identityOptions({
      client: this.client,
      clock: this.clock,
      store: this.store,
      post: this.post,
    });
  }

  readonly post = async (path: string, bytes: Uint8Array): Promise<Uint8Array> =>
    path === "/v1/enrol" ? await this.enrolled(bytes) : await this.renewed(bytes);

  async enrolled(bytes: Uint8Array): Promise<Uint8Array> {
    const { payload, digest } = openAs(bytes, "enrol-request");
    const key = this.sealingKeyOf(payload.sealingKey);
    return await replyTo("enrol-reply", digest, {
      node,
      chain: [this.certify(payload.csr)],
      bus,
      sealedBusSeed: await sealSecret(Buffer.from("SUASECRET"), key, digest),
      state: [base64(Buffer.from("{}"))],
    });
  }

  async renewed(bytes: Uint8Array): Promise<Uint8Array> {
    // The key of the node's certificate, old or new, signs its requests.
    const spki = spkiOf(this.store.identity?.privateKey ?? nodeKey);
    const finder = onlyKey("node", verifyingKey(spki, "ES256"));
    const { payload, digest } = openEnvelope(bytes, ["renew-request"], finder);
    return await replyTo("renew-reply", digest, { chain: [this.certify(payload.csr)], bus });
  }

  certify(csr: string): string {
    const { spki } = readCsr(Buffer.from(csr, "base64"));
    this.asked.push(base64(spki));
    return base64(this.leafOf(spki));
  }

  async enrol() {
    return await NodeIdentity.enrol(this.options, joinTokenProof(join, "web-1"));
  }

  async resumed(): Promise<NodeIdentity> {
    const identity = await NodeIdentity.resume(this.options);
    if (identity === undefined) throw new IdentityError("NOT_ENROLLED", "nothing on disk");
    return identity;
  }
}

const enrolledWorld = async (): Promise<World> => new World(await TestIdentityStore.enrolled());
const lost = (): Promise<Uint8Array> => Promise.reject(new RangeError("lost"));

describe("enrolment", () => {
  test("gives an identity that a restart finds again", async () => {
    const world = new World();
    const { identity, state } = await world.enrol();
    expect(identity.id).toBe(node);
    expect(identity.kept).toMatchObject({
      pin,
      bus,
      busSeed: new Uint8Array(Buffer.from("SUASECRET")),
    });
    expect(state).toEqual([Buffer.from("{}")]);
    expect((await world.resumed()).signer.keyId).toBe(identity.signer.keyId);
    expect(world.store.steps).toEqual(["savePending", "save", "clearPending"]);
  });

  test("ENR the key is on disk before the request leaves; the same key asks again after a crash", async () => {
    const world = new World();
    world.store.crashAt = "before savePending";
    await expect(world.enrol()).rejects.toBeInstanceOf(Crash);
    expect(world.asked).toEqual([]);
    for (const crashAt of ["before save", "after save"]) {
      world.store.crashAt = crashAt;
      await expect(world.enrol()).rejects.toBeInstanceOf(Crash);
    }
    expect(new Set(world.asked).size).toBe(1);
    world.store.crashAt = undefined;
    expect((await world.resumed()).id).toBe(node);
  });

  test("TM-B-05 neither the seed nor the node's key travels", async () => {
    const world = new World();
    const sent: Uint8Array[] = [];
    const { options } = world;
    const post = async (path: string, bytes: Uint8Array): Promise<Uint8Array> => {
      sent.push(bytes);
      return await world.post(path, bytes);
    };
    const { identity } = await NodeIdentity.enrol(
      { ...options, post },
      joinTokenProof(join, "web-1"),
    );
    const traffic = Buffer.concat(sent).toString("utf8");
    const payload = Buffer.from(
      (JSON.parse(traffic) as { payload: string }).payload,
      "base64",
    ).toString();
    const jwk = identity.kept.privateKey.export({ format: "jwk" });
    const secrets = [
      seeds.token,
      Buffer.from(seeds.token, "hex").toString("base64"),
      Buffer.from(seeds.token, "hex").toString("base64url"),
      String(jwk.d),
    ];
    for (const secret of secrets)
      expect(`${traffic} ${payload}`).not.toContain(secret.replace(/=+$/, ""));
  });

  test.for<readonly [string, (world: World) => void, string]>([
    [
      "a certificate for another key",
      (world) => (world.leafOf = () => nodeLeaf(spkiOf(nodeKey))),
      "BAD_REPLY",
    ],
    [
      "a certificate for another ID",
      (world) =>
        (world.leafOf = (spki) =>
          nodeLeaf(spki, "spiffe://example.org/herald/node/join_token/web-2")),
      "BAD_REPLY",
    ],
    [
      "a bus seed that was sealed to another key",
      (world) => (world.sealingKeyOf = () => strangersX25519),
      "SEALED_SECRET",
    ],
  ])("TM-B-07 %s is refused, and nothing is kept", async ([, bend, code]) => {
    const world = new World();
    bend(world);
    await expect(world.enrol()).rejects.toMatchObject({ code });
    expect(world.store.identity).toBeUndefined();
  });
});

describe("renewal", () => {
  test("brings a new key, asked for with the old one; everything after is signed with the new one", async () => {
    const world = await enrolledWorld();
    const identity = await world.resumed();
    await identity.renew(async (_, bytes) => await world.renewed(bytes), "");
    expect(identity.signer.keyId).not.toBe(signers.node.keyId);
    expect(world.asked).toEqual([base64(spkiOf(identity.kept.privateKey))]);
    expect(identity.kept.bus).toEqual(bus);
    expect(world.store.steps).toEqual(["savePending", "save", "clearPending"]);
    expect((await world.resumed()).signer.keyId).toBe(identity.signer.keyId);
  });

  test("goes by HTTPS when the bus does not answer", async () => {
    const world = await enrolledWorld();
    const identity = await world.resumed();
    await identity.renew(lost, "");
    expect(identity.signer.keyId).not.toBe(signers.node.keyId);
  });

  test("an answer that was lost is followed by the same key", async () => {
    const world = await enrolledWorld();
    const identity = await world.resumed();
    const { post } = world;
    const silent = { ...world.options, post: lost };
    const deaf = await NodeIdentity.resume(silent);
    expect(await world.outcome(deaf?.renew(lost, "") ?? Promise.resolve())).toBe("NO_ANSWER");
    const pending = world.store.pending?.privateKey;
    await identity.renew(async (_, bytes) => await post("/v1/renew", bytes), "");
    expect(pending === undefined ? "" : keyIdOfKey(pending)).toBe(identity.signer.keyId);
  });

  test.for([
    "before savePending",
    "after savePending",
    "before save",
    "after save",
    "before clearPending",
    "after clearPending",
  ])(
    "a crash %s leaves a node that can sign and renew, always with a key that is not in use yet",
    async (crashAt) => {
      const world = await enrolledWorld();
      world.store.crashAt = crashAt;
      const identity = await world.resumed();
      await expect(
        identity.renew(async (_, bytes) => await world.renewed(bytes), ""),
      ).rejects.toBeInstanceOf(Crash);
      world.store.crashAt = undefined;
      const again = await world.resumed();
      const inUse = base64(spkiOf(again.kept.privateKey));
      world.asked.length = 0;
      await again.renew(async (_, bytes) => await world.renewed(bytes), "");
      expect(world.asked).toHaveLength(1);
      expect(world.asked).not.toContain(inUse);
      expect(world.store.pending).toBeUndefined();
    },
  );

  test("a chain for another key is refused and the old identity stays", async () => {
    const world = await enrolledWorld();
    world.leafOf = () => nodeLeaf(spkiOf(nodeKey));
    const identity = await world.resumed();
    const renewed = identity.renew(async (_, bytes) => await world.renewed(bytes), "");
    await expect(renewed).rejects.toMatchObject({ code: "BAD_REPLY" });
    expect(identity.signer.keyId).toBe(signers.node.keyId);
  });

  test("is due at half of the SVID's life, always at the same moment", async () => {
    const identity = await (await enrolledWorld()).resumed();
    const { renewAt, expiresAt } = identity;
    expect(renewAt).toBe(identity.renewAt);
    expect(renewAt).toBeLessThan(expiresAt);
    expect(identity.isSignedByOther("")).toBe(false);
    expect(identity.isSignedByOther(identity.authority)).toBe(false);
    expect(identity.isSignedByOther("00ff")).toBe(true);
  });

  test("an SVID that was asked for under the active authority is not asked for again, whoever signed it", async () => {
    const world = await enrolledWorld();
    const identity = await world.resumed();
    await identity.renew(async (_, bytes) => await world.renewed(bytes), "00ff");
    expect(identity.isSignedByOther("00ff")).toBe(false);
    expect(identity.isSignedByOther("00fe")).toBe(true);
  });
});

describe("the state, from an issuer", () => {
  test("TM-R-04 is taken only under this question's nonce", async () => {
    const identity = await (await enrolledWorld()).resumed();
    const answer = (nonce?: string) => async (_: string, bytes: Uint8Array) => {
      const { payload, digest } = requestOf(bytes, "state-request");
      expect(payload.highest).toEqual({ epoch: 1n, term: 2n, n: 3n });
      return await replyTo("state-reply", digest, {
        nonce: nonce ?? payload.nonce,
        head: "",
        state: ["AA=="],
      });
    };
    const highest = { epoch: 1n, term: 2n, n: 3n };
    expect(await identity.askState(answer(), highest)).toEqual([Buffer.of(0)]);
    await expect(identity.askState(answer("other"), highest)).rejects.toMatchObject({
      code: "BAD_REPLY",
    });
  });
});

test("a node that was never enrolled has nothing to resume", async () => {
  expect(await NodeIdentity.resume(new World().options)).toBeUndefined();
});
