import "reflect-metadata";
import { createSign, generateKeyPairSync } from "node:crypto";
import * as peculiar from "@peculiar/x509";
import { expect, test } from "vitest";
import { createCsr, readCsr } from "../../../src/core/x509/csr.ts";
import { contextTag } from "../../../src/core/x509/der-tag.ts";
import {
  bitString,
  element,
  objectIdentifier,
  sequence,
  unsignedInteger,
} from "../../../src/core/x509/der-writer.ts";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { nodeKeyMaker } from "../../../src/core/x509/key-pair.ts";
import { makeKey, type WorldKey } from "../../support/ca-world.ts";

function outcome(der: Uint8Array): string {
  try {
    readCsr(der);
    return "ok";
  } catch (error) {
    if (error instanceof X509Error) return error.code;
    throw error;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

interface CsrBend {
  readonly spki?: Uint8Array;
  readonly version?: number;
  readonly algorithm?: Uint8Array;
  readonly attributes?: Uint8Array;
  readonly behind?: Uint8Array;
}

/** A request that `key` signs, bent. */
function csr(key: WorldKey, bend: CsrBend = {}): Uint8Array {
  const information = sequence(
    unsignedInteger(Uint8Array.of(bend.version ?? 0)),
    sequence(),
    bend.spki ?? key.spki,
    element(contextTag(0), bend.attributes ?? new Uint8Array()),
    ...(bend.behind === undefined ? [] : [bend.behind]),
  );
  const signature = createSign(key.digest ?? "sha256")
    .update(information)
    .sign(key.privateKey);
  return sequence(information, bend.algorithm ?? key.algorithm, bitString(signature));
}

test("design.md 1: a request gives its public key and nothing else", async () => {
  const pair = await nodeKeyMaker.p256();
  const found = readCsr(await createCsr(pair));
  expect(Object.keys(found)).toEqual(["spki"]);
  expect(hex(found.spki)).toBe(hex(pair.spki));
});

test("@peculiar/x509 reads and verifies our request, and we read its", async () => {
  const pair = await nodeKeyMaker.p256();
  const ours = new peculiar.Pkcs10CertificateRequest(await createCsr(pair));
  expect(await ours.verify()).toBe(true);
  expect(ours.subject).toBe("");
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, [
    "sign",
    "verify",
  ]);
  const theirs = await peculiar.Pkcs10CertificateRequestGenerator.create({
    name: "CN=admin",
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-384" },
    extensions: [
      new peculiar.SubjectAlternativeNameExtension([
        { type: "url", value: "spiffe://example.org/admin" },
      ]),
    ],
  });
  const found = readCsr(new Uint8Array(theirs.rawData));
  expect(hex(found.spki)).toBe(
    hex(new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey))),
  );
});

const key = makeKey();
const stranger = makeKey();
const secp256k1 = generateKeyPairSync("ec", { namedCurve: "secp256k1" });

test.for<readonly [string, Uint8Array, string]>([
  ["P-256", csr(key), "ok"],
  ["P-384", csr(makeKey("p384")), "ok"],
  ["MEC-01 another's public key", csr(key, { spki: stranger.spki }), "X509_CSR_PROOF"],
  ["RSA", csr(makeKey("rsa2048")), "X509_KEY"],
  [
    "another curve",
    csr({
      ...key,
      privateKey: secp256k1.privateKey,
      spki: new Uint8Array(secp256k1.publicKey.export({ type: "spki", format: "der" })),
    }),
    "X509_KEY",
  ],
  [
    "another digest",
    csr(key, { algorithm: sequence(objectIdentifier("1.2.840.10045.4.3.3")) }),
    "X509_CSR",
  ],
  ["version 2", csr(key, { version: 1 }), "X509_CSR"],
  ["bytes behind the attributes", csr(key, { behind: sequence() }), "X509_DER"],
  ["bytes behind the request", Buffer.concat([csr(key), Buffer.of(0)]), "X509_DER"],
  ["attributes", csr(key, { attributes: sequence(objectIdentifier("1.2.3")) }), "ok"],
  ["4 KiB and more", csr(key, { attributes: new Uint8Array(4096) }), "X509_CSR_TOO_LARGE"],
  ["nothing", new Uint8Array(), "X509_DER"],
])("a CSR with %s: $2", ([, der, expected]) => {
  expect(outcome(der)).toBe(expected);
});

test("a point off the curve is refused", () => {
  const spki = new Uint8Array(key.spki);
  spki[spki.length - 1] = (spki.at(-1) ?? 0) ^ 1;
  expect(outcome(csr(key, { spki }))).toBe("X509_KEY");
});
