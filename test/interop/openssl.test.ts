import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { onPath } from "../../tools/parts.mjs";
import { Dev, type Ended, run } from "../support/dev.ts";

const openssl = onPath("openssl");
const me = "spiffe://example.org/x";

describe.skipIf(openssl === undefined)("what `fetch x509 --write` writes (needs openssl)", () => {
  let dev: Dev;
  let identity: string;
  beforeAll(async () => {
    dev = await Dev.start();
    await dev.createEntry(me);
    identity = join(dev.dir, "identity");
    const socket = dev.ready.socket;
    await dev.mustHerald("fetch", "x509", "--socket", socket, "--write", identity);
  });
  afterAll(async () => {
    await dev[Symbol.asyncDispose]();
  });
  const file = (name: string): string => join(identity, name);
  const ask = async (...args: readonly string[]): Promise<Ended> => await run(openssl ?? "", args);

  test.for(["sslserver", "sslclient"])("openssl verify takes the SVID for %s", async (purpose) => {
    const { status, stdout, stderr } = await ask(
      "verify",
      "-x509_strict",
      "-purpose",
      purpose,
      "-CAfile",
      file("bundle.0.pem"),
      file("svid.0.pem"),
    );
    expect(status, stderr).toBe(0);
    expect(stdout).toContain("svid.0.pem: OK");
  });

  test("openssl verify refuses it by any other bundle", async () => {
    const { status } = await ask(
      "verify",
      "-no-CAfile",
      "-no-CApath",
      "-no-CAstore",
      file("svid.0.pem"),
    );
    expect(status).not.toBe(0);
  });

  test("openssl x509 -text reads the profile of X509-SVID: one URI, a leaf, digitalSignature", async () => {
    const { stdout } = await ask("x509", "-noout", "-text", "-in", file("svid.0.pem"));
    // XSVID: a critical SAN, since the subject is empty.
    expect(stdout).toMatch(new RegExp(`Alternative Name: critical\\s+URI:${me}\\n`));
    expect(stdout).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(stdout).toMatch(/Key Usage: critical\s+Digital Signature\n/);
    expect(stdout).toMatch(
      /Extended Key Usage:\s*\n\s+TLS Web Server Authentication, TLS Web Client/,
    );
    expect(stdout).toContain("ASN1 OID: prime256v1");
    expect(stdout).toContain("Signature Algorithm: ecdsa-with-SHA256");
  });

  test("openssl x509 -text reads the authority: a CA of the trust domain that signs certificates", async () => {
    const { stdout } = await ask("x509", "-noout", "-text", "-in", file("bundle.0.pem"));
    expect(stdout).toMatch(/Basic Constraints: critical\s+CA:TRUE/);
    expect(stdout).toMatch(/Key Usage: critical\s+Certificate Sign/);
    expect(stdout).toContain("URI:spiffe://example.org\n");
  });

  test("the key is the SVID's, and nobody else may read it", async () => {
    const ofKey = await ask("pkey", "-pubout", "-in", file("svid.0.key"));
    const ofSvid = await ask("x509", "-noout", "-pubkey", "-in", file("svid.0.pem"));
    expect(ofKey.status, ofKey.stderr).toBe(0);
    expect(ofKey.stdout).toBe(ofSvid.stdout);
    expect(statSync(file("svid.0.key")).mode & 0o077).toBe(0);
  });
});
