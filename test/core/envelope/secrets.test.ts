import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import fc from "fast-check";
import { CompactEncrypt } from "jose";
import { describe, expect, test } from "vitest";
import { EnvelopeError } from "../../../src/core/envelope/error.ts";
import {
  formatJoinString,
  keyOfSeed,
  parseJoinString,
} from "../../../src/core/envelope/join-string.ts";
import { openSecret, sealSecret } from "../../../src/core/envelope/sealed-secret.ts";
import { reasonOf } from "../../../src/kit/errors.ts";
import { digest, token } from "./support/fields.ts";
import { outcomeOf } from "./support/open.ts";

describe("ENR join strings", () => {
  const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const join = fc.record({ token, seed, pin: digest });

  test("what is printed is read back, white space around it or not", () => {
    fc.assert(
      fc.property(join, (made) => {
        const written = formatJoinString(made);
        for (const text of [written, ` ${written}\n`]) {
          const read = parseJoinString(text);
          expect({ ...read, seed: new Uint8Array(read.seed) }).toEqual(made);
        }
      }),
    );
  });

  const pin = "0a".repeat(32);
  const good = Buffer.alloc(32, 7).toString("base64url");
  test.for([
    ["another scheme", `herald2.t1.${good}.${pin}`],
    ["nothing", ""],
    ["three parts", `herald1.t1.${good}`],
    ["five parts", `herald1.t1.${good}.${pin}.`],
    ["no token", `herald1..${good}.${pin}`],
    ["a token in capitals", `herald1.T1.${good}.${pin}`],
    ["a token that is long", `herald1.${"a".repeat(65)}.${good}.${pin}`],
    ["a token with a wildcard", `herald1.*.${good}.${pin}`],
    ["a short pin", `herald1.t1.${good}.${pin.slice(1)}`],
    ["a pin in capitals", `herald1.t1.${good}.${pin.toUpperCase()}`],
    ["a seed of 31 bytes", `herald1.t1.${good.slice(0, -1)}.${pin}`],
    ["a seed of 33 bytes", `herald1.t1.${good}A.${pin}`],
    ["a seed with padding", `herald1.t1.${good}=.${pin}`],
    ["a seed whose last bits mean nothing", `herald1.t1.${good.slice(0, -1)}d.${pin}`],
    ["a seed in the other alphabet", `herald1.t1.${`+/${good.slice(2)}`}.${pin}`],
    ["a seed with a space in it", `herald1.t1.${good.slice(0, 20)} ${good.slice(20)}.${pin}`],
  ] as const)("refuses %s", ([, text]) => {
    expect(outcomeOf(() => parseJoinString(text))).toBe("JOIN_STRING");
  });

  test("TM-B-05 no message repeats the seed", () => {
    const breaks: readonly ((text: string) => string)[] = [
      (text) => text.slice(0, -1),
      (text) => `x${text}`,
      (text) => `${text}.more`,
      (text) => text.replace(".", ".UPPER"),
      (text) => text.replace(/\.([^.]*)$/, "A.$1"),
    ];
    fc.assert(
      fc.property(join, fc.constantFrom(...breaks), (made, bend) => {
        const written = formatJoinString(made);
        const secret = written.split(".")[2] ?? "";
        try {
          parseJoinString(bend(written));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(EnvelopeError);
          expect(`${reasonOf(thrown)} ${(thrown as Error).stack}`).not.toContain(
            secret.slice(0, 8),
          );
          return;
        }
        throw new RangeError("a broken join string was taken");
      }),
    );
  });

  // RFC 8032, section 7.1, TEST 2 and TEST SHA(abc).
  test.for([
    [
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
      "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
      "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
  ] as const)("RFC 8032 the seed %s makes its key", ([secret, publicKey, message, signature]) => {
    const key = keyOfSeed(Buffer.from(secret, "hex"));
    const raw = createPublicKey(key).export({ type: "spki", format: "der" }).subarray(-32);
    expect(raw.toString("hex")).toBe(publicKey);
    const bytes = Buffer.from(message, "hex");
    expect(sign(null, bytes, key).toString("hex")).toBe(signature);
    expect(verify(null, bytes, key, Buffer.from(signature, "hex"))).toBe(true);
  });
});

describe("TM-B-05 sealed secrets", () => {
  const requestDigest = "ab".repeat(32);
  const secret = Buffer.from("SUAEXAMPLENKEYSEED");
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const outcome = async (run: Promise<unknown>): Promise<string> => {
    try {
      await run;
      return "ok";
    } catch (thrown) {
      return thrown instanceof EnvelopeError
        ? thrown.code
        : `not an EnvelopeError: ${String(thrown)}`;
    }
  };

  test("open with their key, for their request", async () => {
    const jwe = await sealSecret(secret, publicKey, requestDigest);
    expect(Buffer.from(await openSecret(jwe, privateKey, requestDigest))).toEqual(secret);
    expect(jwe).not.toContain(secret.toString("base64url"));
  });

  test("do not open with another key, nor for another request", async () => {
    const jwe = await sealSecret(secret, publicKey, requestDigest);
    const other = generateKeyPairSync("x25519").privateKey;
    expect(await outcome(openSecret(jwe, other, requestDigest))).toBe("SEALED_SECRET");
    expect(await outcome(openSecret(jwe, privateKey, "cd".repeat(32)))).toBe("SEALED_SECRET");
    expect(await outcome(openSecret(jwe, privateKey, ""))).toBe("SEALED_SECRET");
  });

  test("do not open with any part changed, cut off or left out", async () => {
    const jwe = await sealSecret(secret, publicKey, requestDigest);
    const parts = jwe.split(".");
    for (const [index, part] of parts.entries()) {
      if (part === "") continue;
      const first = part.startsWith("A") ? "B" : "A";
      for (const bent of [`${first}${part.slice(1)}`, part.slice(0, -4), ""]) {
        const text = parts.with(index, bent).join(".");
        expect(await outcome(openSecret(text, privateKey, requestDigest)), text).toBe(
          "SEALED_SECRET",
        );
      }
    }
    expect(await outcome(openSecret("", privateKey, requestDigest))).toBe("SEALED_SECRET");
  });

  test("do not open under another algorithm", async () => {
    const apv = Buffer.from(requestDigest, "hex");
    for (const header of [
      { alg: "ECDH-ES+A256KW", enc: "A256GCM" },
      { alg: "ECDH-ES", enc: "A128GCM" },
    ]) {
      const jwe = await new CompactEncrypt(secret)
        .setProtectedHeader(header)
        .setKeyManagementParameters({ apv })
        .encrypt(publicKey);
      expect(await outcome(openSecret(jwe, privateKey, requestDigest))).toBe("SEALED_SECRET");
    }
    const bare = await new CompactEncrypt(secret)
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
      .encrypt(randomBytes(32));
    expect(await outcome(openSecret(bare, privateKey, requestDigest))).toBe("SEALED_SECRET");
  });
});
