import { verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { createAuthority } from "../../src/core/x509/authority.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import type { KeyType } from "../../src/core/x509/key-type.ts";
import { importPublicKey } from "../../src/core/x509/public-key.ts";
import { isSignedBy } from "../../src/core/x509/signature.ts";
import type { Signer } from "../../src/core/x509/signer.ts";
import type { AuthorityKeys } from "../../src/issuer/ports.ts";

/** A key store to try. */
export interface KeysRig {
  /** The store as a process opens it. */
  open(keyType: KeyType): Promise<AuthorityKeys>;
  close(): Promise<void>;
}

const algorithms = { "ec-p256": "ecdsa-p256-sha256", "ec-p384": "ecdsa-p384-sha384" } as const;

function isGood(signer: Signer, bytes: Uint8Array, signature: Uint8Array): boolean {
  const digest = signer.algorithm === "ecdsa-p256-sha256" ? "sha256" : "sha384";
  return verify(digest, bytes, importPublicKey(signer.spki), signature);
}

/** What every key store must do, whatever it is made of. */
export function authorityKeysContract(
  title: string,
  /** Whether a key is there for the next process too. */
  outlives: boolean,
  make: () => Promise<KeysRig>,
): void {
  describe(`authority keys: ${title}`, () => {
    let rig: KeysRig;
    beforeAll(async () => {
      rig = await make();
    });
    afterAll(() => rig.close());

    describe.for(["ec-p256", "ec-p384"] as const)("%s", (keyType) => {
      const name = (what: string): string => `${keyType}-${what}`;

      test("a new key signs an authority's certificate that others can check", async () => {
        const keys = await rig.open(keyType);
        const signer = await keys.create(name("new"));
        expect(signer.algorithm).toBe(algorithms[keyType]);
        const now = Date.now();
        const der = await createAuthority({
          signer,
          trustDomain: parseTrustDomain("example.org"),
          serial: Buffer.alloc(16, 7),
          notBefore: now,
          notAfter: now + 60_000,
        });
        expect(isSignedBy(parseCertificate(der), signer.spki)).toBe(true);
      });

      test("it is found again by its name, by the next process too where it outlives one", async () => {
        const keys = await rig.open(keyType);
        const made = await keys.create(name("again"));
        const stores = outlives ? [keys, await rig.open(keyType)] : [keys];
        for (const store of stores) {
          const found = await store.open(name("again"));
          expect(found?.spki).toEqual(made.spki);
          const bytes = Buffer.from("to be signed");
          expect(isGood(made, bytes, (await found?.sign(bytes)) ?? Buffer.alloc(0))).toBe(true);
        }
      });

      test("many at once: each signature is that of its own bytes", async () => {
        const keys = await rig.open(keyType);
        const signer = await keys.create(name("many"));
        const all = await Promise.all(
          Array.from({ length: 200 }, async (_, at) => {
            const bytes = Buffer.from(`certificate ${at}`);
            return isGood(signer, bytes, await signer.sign(bytes));
          }),
        );
        expect(all).toEqual(Array(200).fill(true));
      });

      test("two authorities have two keys; deleting one leaves the other", async () => {
        const keys = await rig.open(keyType);
        const [one, two] = [await keys.create(name("one")), await keys.create(name("two"))];
        expect(one.spki).not.toEqual(two.spki);
        await keys.delete(name("one"));
        await keys.delete(name("one"));
        expect(await keys.open(name("one"))).toBeUndefined();
        expect((await keys.open(name("two")))?.spki).toEqual(two.spki);
      });
    });

    test("a key that was never made is undefined", async () => {
      const keys = await rig.open("ec-p256");
      expect(await keys.open("none")).toBeUndefined();
    });

    if (!outlives) return;
    test("the type is that of keys to come: another one still opens", async () => {
      await (await rig.open("ec-p384")).create("before");
      const found = await (await rig.open("ec-p256")).open("before");
      expect(found?.algorithm).toBe("ecdsa-p384-sha384");
    });
  });
}
