import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadIssuerConfig } from "../../src/daemon/config.ts";

const folder = mkdtempSync(join(tmpdir(), "hkeys-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = `trustDomain: example.org
nats:
  servers: ["tls://127.0.0.1:4222"]
  pins: [${"0123456789abcdef".repeat(4)}]
  seedFile: issuer.nk
  nodeSeedFile: node.nk
enrolment:
  listen: 127.0.0.1:8443
`;

function load(more: string): ReturnType<typeof loadIssuerConfig> {
  const path = join(folder, "issuer.yaml");
  writeFileSync(path, `${base}${more}`);
  return loadIssuerConfig(path);
}

describe("keys", () => {
  test("on disk, sealed under a key from elsewhere", () => {
    const at = (place: string) => load(`keys: { sealingKey: { ${place} } }\n`).keys.sealingKey;
    expect(at("file: secrets/seal")).toEqual({ from: "file", path: join(folder, "secrets/seal") });
    expect(at("env: SEAL")).toEqual({ from: "env", name: "SEAL" });
    expect(at("credential: seal")).toEqual({ from: "credential", name: "seal" });
  });

  test("in memory, on P-384", () => {
    expect(load("keys: { store: memory }\nkeyType: ec-p384\n")).toMatchObject({
      keys: { store: "memory" },
      keyType: "ec-p384",
    });
  });

  test("in a token", () => {
    const text = `keys:
  store: pkcs11
  module: /usr/lib/softhsm/libsofthsm2.so
  token: herald
  pin: { credential: pin }
`;
    expect(load(text).keys).toEqual({
      store: "pkcs11",
      sealingKey: undefined,
      module: "/usr/lib/softhsm/libsofthsm2.so",
      token: "herald",
      pin: { from: "credential", name: "pin" },
    });
  });

  test.for([
    [
      "a PIN in the file itself",
      'keys: { store: pkcs11, module: /m, token: t, pin: "1" }',
      "keys.pin",
    ],
    ["a token without a PIN", "keys: { store: pkcs11, module: /m, token: t }", "keys.pin"],
    ["a token's setting without a token", "keys: { module: /m }", "keys.module"],
    ["two places for one secret", "keys: { sealingKey: { env: A, file: b } }", "keys.sealingKey"],
    ["no place", "keys: { sealingKey: {} }", "keys.sealingKey"],
    ["another curve", "keyType: rsa-2048", "keyType"],
  ])("%s is refused by name", ([, text = "", key = ""]) => {
    expect(() => load(`${text}\n`)).toThrow(new RegExp(`issuer\\.yaml:9: ${key}: `));
  });
});
