import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadIssuerConfig } from "../../src/daemon/config.ts";

const folder = mkdtempSync(join(tmpdir(), "hupstream-"));
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

function load(more: string): ReturnType<typeof loadIssuerConfig>["upstream"] {
  const path = join(folder, "issuer.yaml");
  writeFileSync(path, `${base}upstream: ${more}\n`);
  return loadIssuerConfig(path).upstream;
}

const digest = "AB".repeat(32);
const step = `type: step-ca, url: "https://ca.example.org:9000/", fingerprint: ${digest}, provisioner: herald`;

describe("the upstream", () => {
  test("on disk", () => {
    expect(load("{ type: disk, dir: cacerts, trustAnchors: /etc/root.pem }")).toEqual({
      type: "disk",
      dir: join(folder, "cacerts"),
      trustAnchors: "/etc/root.pem",
    });
  });

  test("step-ca", () => {
    expect(load(`{ ${step}, key: { file: jwk }, password: { env: PASSWORD } }`)).toEqual({
      type: "step-ca",
      url: "https://ca.example.org:9000",
      fingerprint: digest.toLowerCase(),
      provisioner: "herald",
      key: { from: "file", path: join(folder, "jwk") },
      password: { from: "env", name: "PASSWORD" },
    });
  });

  test("Vault", () => {
    const text =
      '{ type: vault, url: "https://vault", token: { credential: t }, mount: /ca/mesh/ }';
    expect(load(text)).toEqual({
      type: "vault",
      url: "https://vault",
      mount: "ca/mesh",
      issuer: "default",
      namespace: undefined,
      token: { from: "credential", name: "t" },
      caFile: undefined,
      trustAnchors: undefined,
    });
  });

  test.for([
    ["no type", "{ dir: a }", "upstream.type"],
    ["another type", "{ type: aws }", "upstream.type"],
    ["a folder that is not named", "{ type: disk }", "upstream.dir"],
    ["a setting of another type", "{ type: disk, dir: a, token: { env: A } }", "upstream.token"],
    ["plain http", '{ type: vault, url: "http://v", token: { env: A } }', "upstream.url"],
    [
      "a token in the file itself",
      '{ type: vault, url: "https://v", token: hvs.a }',
      "upstream.token",
    ],
    [
      "a short fingerprint",
      `{ ${step.replace(digest, "AB")}, key: { env: A } }`,
      "upstream.fingerprint",
    ],
    ["text", "disk", "upstream"],
  ])("%s is refused by name", ([, text = "", key = ""]) => {
    expect(() => load(text)).toThrow(new RegExp(`issuer\\.yaml:9: ${key}: `));
  });
});
