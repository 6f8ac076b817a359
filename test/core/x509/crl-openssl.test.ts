import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseCertificate } from "../../../src/core/x509/certificate.ts";
import { parseCrl, verifyCrl } from "../../../src/core/x509/crl-reader.ts";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { parsePem, toPem } from "../../../src/core/x509/pem.ts";
import { hour, makeAuthority, makeLeaf, noon } from "../../support/ca-world.ts";
import { makeCrl } from "../../support/crl-world.ts";

const program = "openssl";
const hasOpenssl = spawnSync(program, ["version"]).status === 0;

/** Its own names, so that nothing of Herald's decides how it encodes. */
const configuration = (folder: string): string => `
[ca]
default_ca = herald
[herald]
database = ${folder}/index.txt
crlnumber = ${folder}/crlnumber
certificate = ${folder}/ca.pem
private_key = ${folder}/ca.key
default_md = sha256
default_crl_days = 7
crl_extensions = good
[good]
authorityKeyIdentifier = keyid
[narrow]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical, @point
[point]
onlyuser = TRUE
[req]
distinguished_name = name
x509_extensions = ca_extensions
prompt = no
[name]
O = Herald's test
CN = openssl's authority
[ca_extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
`;

describe.skipIf(!hasOpenssl)("CRLs, between Herald and openssl (needs openssl)", () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): string => {
    const ran = spawnSync(program, args, { encoding: "utf8", cwd: folder });
    return `${ran.stdout}${ran.stderr}`;
  };
  const generate = (...args: readonly string[]): Uint8Array => {
    const said = openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "made.crl", ...args);
    const [der] = parsePem("X509 CRL", readFileSync(file("made.crl"), "utf8"));
    if (der === undefined) throw new Error(said);
    return der;
  };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "herald-crl-"));
    writeFileSync(file("ca.cnf"), configuration(folder));
    // openssl's own database: status, expiry, revocation with reason, serial, file, subject.
    const revoked = [
      "R\t361122120000Z\t261122110000Z,keyCompromise\t8F0102030405060708\tunknown\t/CN=one",
      "R\t361122120000Z\t261122113000Z\t01\tunknown\t/CN=two",
      "V\t361122120000Z\t\t02\tunknown\t/CN=three",
    ];
    writeFileSync(file("index.txt"), revoked.map((line) => `${line}\n`).join(""));
    writeFileSync(file("crlnumber"), "01FF\n");
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl("req", "-x509", "-config", "ca.cnf", ...key, "-keyout", "ca.key", "-out", "ca.pem");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const authority = (): ReturnType<typeof parseCertificate> => {
    const [der] = parsePem("CERTIFICATE", readFileSync(file("ca.pem"), "utf8"));
    return parseCertificate(der ?? new Uint8Array());
  };

  test("what openssl makes is read as openssl meant it, and verified", () => {
    const crl = parseCrl(generate());
    verifyCrl(crl, authority());
    expect(crl).toMatchObject({
      number: 0x1ffn,
      authorityKeyId: authority().subjectKeyId,
      revoked: [
        { serial: "01", at: Date.UTC(2026, 10, 22, 11, 30), reason: undefined },
        { serial: "8f0102030405060708", at: Date.UTC(2026, 10, 22, 11), reason: 1 },
      ],
    });
    expect(crl.nextUpdate - crl.thisUpdate).toBe(7 * 24 * hour);
    // openssl counts on from there by itself.
    expect(parseCrl(generate()).number).toBe(0x200n);
  });

  test("EF-26 what openssl makes for a part of the certificates only is refused", () => {
    const code = (der: Uint8Array): string | undefined => {
      try {
        parseCrl(der);
        return undefined;
      } catch (thrown) {
        return thrown instanceof X509Error ? thrown.code : "";
      }
    };
    expect(code(generate("-crlexts", "narrow"))).toBe("X509_CRL_UNSUPPORTED");
  });

  test("openssl reads and verifies what the test world makes, which the other tests lean on", () => {
    const root = makeAuthority();
    const good = makeLeaf(root);
    const bad = makeLeaf(root, { id: "spiffe://example.org/revoked" });
    const revoked = [{ serial: parseCertificate(bad).serial, reason: 1 }];
    const crl = makeCrl(root, { revoked, number: 7n });
    writeFileSync(file("root.pem"), toPem("CERTIFICATE", root.der));
    writeFileSync(file("made.crl"), toPem("X509 CRL", crl));
    writeFileSync(file("good.pem"), toPem("CERTIFICATE", good));
    writeFileSync(file("bad.pem"), toPem("CERTIFICATE", bad));
    expect(openssl("crl", "-in", "made.crl", "-CAfile", "root.pem", "-noout", "-verify")).toContain(
      "verify OK",
    );
    expect(openssl("crl", "-in", "made.crl", "-noout", "-text")).toMatch(
      /Version 2[\s\S]*CRL Number:\s+7[\s\S]*Key Compromise/,
    );
    const at = ["-attime", String(noon / 1000), "-CAfile", "root.pem", "-CRLfile", "made.crl"];
    const verify = (leaf: string): string => openssl("verify", "-crl_check_all", ...at, leaf);
    expect(verify("good.pem")).toContain("good.pem: OK");
    expect(verify("bad.pem")).toContain("certificate revoked");
  });
});
