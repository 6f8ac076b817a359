import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseCertificate } from "../../../src/core/x509/certificate.ts";
import { parseCrl, verifyCrl } from "../../../src/core/x509/crl-reader.ts";
import {
  type CrlFields,
  type CrlReason,
  createCrl,
  crlReasons,
  type RevokedSerial,
} from "../../../src/core/x509/crl-writer.ts";
import { toPem } from "../../../src/core/x509/pem.ts";
import { keyObjectSigner, type Signer } from "../../../src/core/x509/signer.ts";
import {
  type KeyKind,
  makeAuthority,
  makeKey,
  makeLeaf,
  noon,
  type WorldAuthority,
} from "../../support/ca-world.ts";

const day = 24 * 3_600_000;
const curves = ["p256", "p384"] as const satisfies readonly KeyKind[];
const names = Object.keys(crlReasons) as CrlReason[];

function signerOf(authority: WorldAuthority): Signer {
  return keyObjectSigner(authority.key.privateKey);
}

async function made(
  authority: WorldAuthority,
  fields: Partial<CrlFields> = {},
): Promise<Uint8Array> {
  const { certificate } = authority;
  const dates = { thisUpdate: noon, nextUpdate: noon + 7 * day };
  return await createCrl(
    { authority: certificate, number: 1n, ...dates, revoked: [], ...fields },
    signerOf(authority),
  );
}

const serial = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => `4${Buffer.from(bytes).toString("hex").slice(1)}`);
const second = fc.integer({ min: 0, max: 4_000_000_000 }).map((at) => at * 1000);
const row: fc.Arbitrary<RevokedSerial> = fc.record({
  serial,
  at: second,
  reason: fc.constantFrom(...names),
});
const rows = fc.uniqueArray(row, { selector: (one) => one.serial, maxLength: 40 });

describe("what a CRL says", () => {
  test.for(curves)("REV-04 by a %s authority it is read back as it was meant", async (kind) => {
    const authority = makeAuthority({ kind });
    await fc.assert(
      fc.asyncProperty(rows, fc.bigInt(0n, 2n ** 64n), second, async (revoked, number, at) => {
        const dates = { thisUpdate: at, nextUpdate: at + 7 * day };
        const crl = parseCrl(await made(authority, { revoked, number, ...dates }));
        verifyCrl(crl, authority.certificate);
        expect(crl).toMatchObject({ number, ...dates });
        const meant = revoked.map((one) => ({
          serial: one.serial,
          at: one.at,
          reason: one.reason === "unspecified" ? undefined : crlReasons[one.reason],
        }));
        expect(crl.revoked).toEqual(meant.toSorted((a, b) => (a.serial < b.serial ? -1 : 1)));
      }),
      { numRuns: 40 },
    );
  });

  test("REV-04 the same facts make the same signed bytes, in whatever order they come", async () => {
    const authority = makeAuthority();
    await fc.assert(
      fc.asyncProperty(rows, async (revoked) => {
        const one = parseCrl(await made(authority, { revoked }));
        const other = parseCrl(await made(authority, { revoked: revoked.toReversed() }));
        expect(Buffer.compare(one.tbs, other.tbs)).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  const serialOf = (text: string): RevokedSerial => ({
    serial: text,
    at: noon,
    reason: "superseded",
  });
  test.for<{ name: string; fields: Partial<CrlFields>; code: string }>([
    {
      name: "a serial twice",
      fields: { revoked: [serialOf("4000000000000001"), serialOf("4000000000000001")] },
      code: "X509_CRL",
    },
    { name: "an end before its begin", fields: { nextUpdate: noon }, code: "X509_CRL" },
    {
      name: "a serial that is too short",
      fields: { revoked: [serialOf("01")] },
      code: "X509_SERIAL",
    },
    { name: "a time that no clock shows", fields: { thisUpdate: -1 }, code: "X509_TIME" },
  ])(
    "EF-21 it is not made with $name, which verifiers would choke on",
    async ({ fields, code }) => {
      await expect(made(makeAuthority(), fields)).rejects.toMatchObject({ code });
    },
  );

  test("EF-21 no other key signs it, and no certificate that may not", async () => {
    const authority = makeAuthority();
    const stranger = keyObjectSigner(makeKey().privateKey);
    const fields = { number: 1n, thisUpdate: noon, nextUpdate: noon + day, revoked: [] };
    await expect(
      createCrl({ authority: authority.certificate, ...fields }, stranger),
    ).rejects.toMatchObject({ code: "X509_AUTHORITY" });
    const leaf = parseCertificate(makeLeaf(authority));
    await expect(
      createCrl({ authority: leaf, ...fields }, signerOf(authority)),
    ).rejects.toMatchObject({ code: "X509_AUTHORITY" });
  });
});

const program = "openssl";
const hasOpenssl = spawnSync(program, ["version"]).status === 0;

describe.skipIf(!hasOpenssl)("CRLs before openssl (needs openssl)", () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): string => {
    const ran = spawnSync(program, args, { encoding: "utf8", cwd: folder, maxBuffer: 2 ** 26 });
    return `${ran.stdout}${ran.stderr}`;
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "herald-crl-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.for(curves)(
    "REV-04 by a %s authority, it verifies and refuses whom it names",
    async (kind) => {
      const authority = makeAuthority({ kind });
      const [good, bad] = [
        makeLeaf(authority),
        makeLeaf(authority, { id: "spiffe://example.org/bad" }),
      ];
      const revoked = names.map((reason, at) => ({
        serial: at === 0 ? parseCertificate(bad).serial : `400000000000000${at}`,
        at: noon,
        reason,
      }));
      writeFileSync(file("root.pem"), toPem("CERTIFICATE", authority.der));
      writeFileSync(file("good.pem"), toPem("CERTIFICATE", good));
      writeFileSync(file("bad.pem"), toPem("CERTIFICATE", bad));
      writeFileSync(
        file("full.crl"),
        toPem("X509 CRL", await made(authority, { revoked, number: 7n })),
      );
      writeFileSync(file("empty.crl"), toPem("X509 CRL", await made(authority)));
      for (const crl of ["full.crl", "empty.crl"])
        expect(openssl("crl", "-in", crl, "-CAfile", "root.pem", "-noout", "-verify")).toContain(
          "verify OK",
        );
      const text = openssl("crl", "-in", "full.crl", "-noout", "-text");
      expect(text).toMatch(/Version 2[\s\S]*Authority Key Identifier[\s\S]*CRL Number:\s+7/);
      for (const reason of ["Key Compromise", "Affiliation Changed", "Superseded"])
        expect(text).toContain(reason);
      expect(openssl("crl", "-in", "empty.crl", "-noout", "-text")).toContain(
        "No Revoked Certificates",
      );
      const at = ["-attime", String(noon / 1000), "-CAfile", "root.pem"];
      const verify = (leaf: string, crl: string): string =>
        openssl("verify", "-crl_check_all", ...at, "-CRLfile", crl, leaf);
      expect(verify("good.pem", "full.crl")).toContain("good.pem: OK");
      expect(verify("bad.pem", "full.crl")).toContain("certificate revoked");
      expect(verify("bad.pem", "empty.crl")).toContain("bad.pem: OK");
    },
  );

  test("REV-04 ten thousand entries, and openssl finds one of them", async () => {
    const authority = makeAuthority();
    const revoked = Array.from({ length: 10_000 }, (_, at) => ({
      serial: `40${at.toString(16).padStart(30, "0")}`,
      at: noon,
      reason: "keyCompromise" as const,
    }));
    const crl = await made(authority, { revoked });
    expect(crl.length / revoked.length).toBeLessThan(50);
    writeFileSync(file("root.pem"), toPem("CERTIFICATE", authority.der));
    writeFileSync(file("many.crl"), toPem("X509 CRL", crl));
    expect(openssl("crl", "-in", "many.crl", "-noout", "-text")).toContain(
      revoked[9_999]?.serial.toUpperCase(),
    );
  });
});
