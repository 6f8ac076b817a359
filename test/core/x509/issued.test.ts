import "reflect-metadata";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as peculiar from "@peculiar/x509";
import { expect, test } from "vitest";
import { parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import { createAuthority, selfSignedTlsCertificate } from "../../../src/core/x509/authority.ts";
import { parseCertificate } from "../../../src/core/x509/certificate.ts";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { exportPrivateKey, nodeKeyMaker } from "../../../src/core/x509/key-pair.ts";
import { toPem } from "../../../src/core/x509/pem.ts";
import { keyIdOf } from "../../../src/core/x509/public-key.ts";
import { isSignedBy } from "../../../src/core/x509/signature.ts";
import { keyObjectSigner } from "../../../src/core/x509/signer.ts";
import { svidTemplate } from "../../../src/core/x509/svid-template.ts";
import {
  hour,
  idOf,
  makeAuthority,
  makeKey,
  makeLeaf,
  nextSerial,
  noon,
} from "../../support/ca-world.ts";

const trustDomain = parseTrustDomain("example.org");
const dates = { notBefore: noon - 10_000, notAfter: noon + 24 * hour };

async function issue(kind: "p256" | "p384") {
  const signer = keyObjectSigner(makeKey(kind).privateKey);
  const authority = await createAuthority({ signer, trustDomain, serial: nextSerial(), ...dates });
  const template = svidTemplate(parseCertificate(authority));
  const workload = await nodeKeyMaker.p256();
  const serial = nextSerial();
  const toBeSigned = template.toBeSigned({
    serial,
    spki: workload.spki,
    id: idOf("/web"),
    dnsNames: ["web.example.org"],
    notBefore: noon - 10_000,
    notAfter: noon + hour,
  });
  const leaf = template.assemble(toBeSigned, await signer.sign(toBeSigned));
  return { authority, leaf, serial, signer, workload };
}

test.for(["p256", "p384"] as const)(
  "XSVID-01 our own reader reads what a %s authority issues",
  async (kind) => {
    const { authority, leaf, serial, workload } = await issue(kind);
    const [ca, found] = [parseCertificate(authority), parseCertificate(leaf)];
    expect(found).toMatchObject({
      serial: Buffer.from(serial).toString("hex"),
      isSubjectEmpty: true,
      notBefore: noon - 10_000,
      notAfter: noon + hour,
      uris: ["spiffe://example.org/web"],
      dnsNames: ["web.example.org"],
      isCa: false,
      extendedKeyUsages: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
      authorityKeyId: ca.subjectKeyId,
      subjectKeyId: Buffer.from(keyIdOf(workload.spki)).toString("hex"),
      unknownCriticalExtensions: [],
    });
    expect(found.keyUsage).toEqual({ critical: true, bits: new Set(["digitalSignature"]) });
    expect(ca).toMatchObject({
      uris: ["spiffe://example.org"],
      isCa: true,
      pathLength: undefined,
      extendedKeyUsages: undefined,
      ...dates,
    });
    expect(ca.keyUsage).toEqual({ critical: true, bits: new Set(["keyCertSign", "cRLSign"]) });
    expect([
      isSignedBy(found, ca.spki),
      isSignedBy(ca, ca.spki),
      isSignedBy(ca, found.spki),
    ]).toEqual([true, true, false]);
  },
);

test("Node reads and verifies what we issue", async () => {
  const { authority, leaf, serial, workload } = await issue("p256");
  const [ca, found] = [new X509Certificate(authority), new X509Certificate(leaf)];
  expect(found.subjectAltName).toBe("URI:spiffe://example.org/web, DNS:web.example.org");
  expect(found.serialNumber.toLowerCase()).toBe(Buffer.from(serial).toString("hex"));
  expect([found.ca, ca.ca, found.verify(ca.publicKey), found.checkIssued(ca)]).toEqual([
    false,
    true,
    true,
    true,
  ]);
  expect(found.checkPrivateKey(workload.privateKey)).toBe(true);
  expect(found.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
});

test("@peculiar/x509 reads and verifies what we issue", async () => {
  const { authority, leaf } = await issue("p384");
  const [ca, found] = [new peculiar.X509Certificate(authority), new peculiar.X509Certificate(leaf)];
  const names = found.getExtension(peculiar.SubjectAlternativeNameExtension);
  expect(names?.critical).toBe(true);
  expect(names?.names.toJSON()).toEqual([
    { type: "url", value: "spiffe://example.org/web" },
    { type: "dns", value: "web.example.org" },
  ]);
  expect(found.getExtension(peculiar.BasicConstraintsExtension)?.ca).toBe(false);
  expect(found.getExtension(peculiar.KeyUsagesExtension)?.usages).toBe(
    peculiar.KeyUsageFlags.digitalSignature,
  );
  expect(await found.verify({ publicKey: ca, date: new Date(noon) })).toBe(true);
});

const program = "openssl";
const hasOpenssl = spawnSync(program, ["version"]).status === 0;

test.skipIf(!hasOpenssl)(
  "OpenSSL reads and verifies what we issue, by its strict rules",
  async () => {
    const { authority, leaf } = await issue("p256");
    const folder = mkdtempSync(join(tmpdir(), "herald-x509-"));
    try {
      const file = (name: string, der: Uint8Array): string => {
        writeFileSync(join(folder, name), toPem("CERTIFICATE", der));
        return join(folder, name);
      };
      const [ca, found] = [file("ca.pem", authority), file("leaf.pem", leaf)];
      const options = [
        "-x509_strict",
        "-check_ss_sig",
        "-attime",
        String(noon / 1000),
        "-purpose",
        "sslclient",
      ];
      const verified = spawnSync(program, ["verify", ...options, "-CAfile", ca, found], {
        encoding: "utf8",
      });
      expect(verified.stdout + verified.stderr).toBe(`${found}: OK\n`);
      const text = spawnSync(program, ["x509", "-in", found, "-noout", "-text"], {
        encoding: "utf8",
      }).stdout;
      expect(text).toMatch(
        /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/example\.org\/web, DNS:web\.example\.org/,
      );
      expect(text).toMatch(/Subject: ?\n/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test("XSVID-27 two authorities of one domain differ in name and key identifier", async () => {
  const [one, other] = [await issue("p256"), await issue("p256")].map(({ authority }) =>
    parseCertificate(authority),
  );
  expect(Buffer.from(one?.subject ?? []).equals(other?.subject ?? Buffer.alloc(0))).toBe(false);
  expect(one?.subjectKeyId).not.toBe(other?.subjectKeyId);
});

test("a TLS certificate of its own names hosts, addresses and one URI", async () => {
  const { signer } = await issue("p256");
  const fields = {
    signer,
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1", "::1"],
    serial: nextSerial(),
    ...dates,
  };
  const der = await selfSignedTlsCertificate({
    ...fields,
    uri: "spiffe://example.org/herald/broker/1",
  });
  const found = new X509Certificate(der);
  expect(found.subjectAltName).toBe(
    "URI:spiffe://example.org/herald/broker/1, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
  );
  expect([
    found.checkHost("localhost"),
    found.checkIP("::1"),
    found.verify(found.publicKey),
  ]).toEqual(["localhost", "::1", true]);
  expect(parseCertificate(der).isCa).toBe(false);
});

async function outcome(run: () => unknown): Promise<string> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (error instanceof X509Error) return error.code;
    throw error;
  }
}

test("XSVID-26 serials of 8 to 20 octets only", async () => {
  const { signer } = await issue("p256");
  for (const [hex, expected] of [
    ["7f".repeat(8), "ok"],
    ["7f".repeat(20), "ok"],
    ["ff".repeat(19), "ok"],
    ["ff".repeat(20), "X509_SERIAL"],
    ["7f".repeat(7), "X509_SERIAL"],
    [`${"00".repeat(9)}${"7f".repeat(7)}`, "X509_SERIAL"],
    ["", "X509_SERIAL"],
  ] as const) {
    const serial = Buffer.from(hex, "hex");
    expect([
      hex,
      await outcome(() => createAuthority({ signer, trustDomain, serial, ...dates })),
    ]).toEqual([hex, expected]);
  }
});

test("a template wants a CA on a curve that it can name", async () => {
  const root = makeAuthority();
  expect(await outcome(() => svidTemplate(parseCertificate(makeLeaf(root))))).toBe(
    "X509_AUTHORITY",
  );
  expect(await outcome(() => svidTemplate(makeAuthority({ kind: "ed25519" }).certificate))).toBe(
    "X509_AUTHORITY",
  );
  const bare = makeAuthority({ replace: { "2.5.29.14": undefined } });
  expect(await outcome(() => svidTemplate(bare.certificate))).toBe("X509_AUTHORITY");
});

test.for([["web example"], ["wéb.example"], [""]])(
  "a DNS name %j is not written",
  async ([name = ""]) => {
    const { signer } = await issue("p256");
    const fields = { signer, dnsNames: [name], ipAddresses: [], serial: nextSerial(), ...dates };
    expect(await outcome(() => selfSignedTlsCertificate(fields))).toBe("X509_NAME");
  },
);

test("signers are made for P-256 and P-384 only", async () => {
  expect(await outcome(() => keyObjectSigner(makeKey("ed25519").privateKey))).toBe("X509_KEY");
  expect(await outcome(() => keyObjectSigner(makeKey("rsa2048").privateKey))).toBe("X509_KEY");
  const { signer, workload } = await issue("p256");
  expect(signer.algorithm).toBe("ecdsa-p256-sha256");
  expect(exportPrivateKey(workload.privateKey).length).toBeGreaterThan(100);
});
