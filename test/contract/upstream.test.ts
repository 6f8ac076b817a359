import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { keyObjectSigner } from "../../src/core/x509/signer.ts";
import { DiskUpstream } from "../../src/issuer/adapters/disk-upstream.ts";
import { VaultUpstream } from "../../src/issuer/adapters/vault-upstream.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { makeKey } from "../support/ca-world.ts";
import { RecordingLog } from "../support/simulation-log.ts";
import { istioFiles, operatorsCa, pemOf, writeFiles } from "../support/upstream-world.ts";
import { VaultServer } from "../support/vault-server.ts";
import { authorityRequest, upstreamContract } from "./upstream.ts";

// step-ca is tried in test/interop/step-ca.test.ts.

const trustDomain = parseTrustDomain("example.org");
const year = 365 * 24 * 3_600_000;
const dates = { notBefore: Date.now() - year, notAfter: Date.now() + year };
const root = operatorsCa({ ...dates, notAfter: dates.notAfter + year });
const intermediate = operatorsCa({ ...dates, parent: root });

upstreamContract("a folder", async () => {
  const dir = mkdtempSync(join(tmpdir(), "herald-upstream-"));
  writeFiles(dir, istioFiles(intermediate, root));
  const log = new RecordingLog();
  return {
    upstream: new DiskUpstream({ dir, trustDomain, clock: systemClock, log }),
    close: async () => rmSync(dir, { recursive: true }),
  };
});

function vaultAt(server: VaultServer): ConstructorParameters<typeof VaultUpstream>[0] {
  return {
    url: server.url,
    mount: "pki",
    issuer: "default",
    namespace: undefined,
    token: () => Promise.resolve(server.token),
    ca: [server.caPem],
    trustAnchors: undefined,
    trustDomain,
  };
}

upstreamContract("Vault's PKI engine with an imported chain", async () => {
  const server = await VaultServer.start({ issuer: intermediate, chain: [root] });
  return { upstream: new VaultUpstream(vaultAt(server)), close: () => server.close() };
});

upstreamContract("Vault's PKI engine that is a root, in a namespace", async () => {
  const server = await VaultServer.start({
    issuer: root,
    chain: [],
    mount: "ca/mesh",
    namespace: "team-a",
  });
  const upstream = new VaultUpstream({ ...vaultAt(server), mount: "ca/mesh", namespace: "team-a" });
  return { upstream, close: () => server.close() };
});

upstreamContract("Vault's PKI engine that does not know its root", async () => {
  const server = await VaultServer.start({ issuer: intermediate, chain: [] });
  const trustAnchors = () => Promise.resolve(pemOf(root));
  return {
    upstream: new VaultUpstream({ ...vaultAt(server), trustAnchors }),
    close: () => server.close(),
  };
});

const {
  VAULT_ADDR: address,
  VAULT_TOKEN: token = "",
  VAULT_NAMESPACE: namespace,
  VAULT_CACERT: caFile,
} = process.env;
const { HERALD_TEST_VAULT_MOUNT: mount = "pki" } = process.env;

if (address !== undefined)
  upstreamContract(`the Vault at VAULT_ADDR, mount ${mount}`, async () => ({
    upstream: new VaultUpstream({
      url: address,
      mount,
      issuer: "default",
      namespace,
      token: () => Promise.resolve(token),
      ca: caFile === undefined ? undefined : [await readFile(caFile, "utf8")],
      trustAnchors: undefined,
      trustDomain,
    }),
    close: async () => undefined,
  }));

describe("Vault as an upstream", () => {
  let server: VaultServer;
  beforeAll(async () => {
    server = await VaultServer.start({ issuer: intermediate, chain: [root] });
  });
  afterAll(() => server.close());
  const certify = (more: Partial<ReturnType<typeof vaultAt>> = {}): Promise<unknown> =>
    new VaultUpstream({ ...vaultAt(server), ...more }).certify(
      authorityRequest(keyObjectSigner(makeKey().privateKey)),
    );

  test("a token that may not sign is told as refused", async () => {
    const stranger = certify({ token: () => Promise.resolve("hvs.stranger") });
    await expect(stranger).rejects.toMatchObject({ code: "UPSTREAM_REFUSED" });
  });

  test("no message quotes the token", async () => {
    const refused = await certify({ token: () => Promise.resolve("hvs.stranger") }).catch(String);
    expect(refused).not.toContain("hvs.stranger");
  });

  test("a server that others vouch for gets no token", async () => {
    const other = await VaultServer.start({ issuer: intermediate, chain: [root] });
    const before = server.tokens.length;
    await expect(certify({ ca: [other.caPem] })).rejects.toMatchObject({ code: "UPSTREAM_AWAY" });
    await other.close();
    expect(server.tokens).toHaveLength(before);
  });

  test.for([
    ["sealed", { status: 503, body: { errors: ["Vault is sealed"] } }, "UPSTREAM_AWAY"],
    ["overrun", { status: 429, body: { errors: [] } }, "UPSTREAM_AWAY"],
    ["of another kind", { status: 200, body: "<html>" }, "UPSTREAM_AWAY"],
    ["without end", { status: 200, body: "x".repeat(2 << 20) }, "UPSTREAM_AWAY"],
    ["without such an engine", { status: 404, body: { errors: [] } }, "UPSTREAM_REFUSED"],
    [
      "with a broken certificate",
      { status: 200, body: { data: { certificate: "-----BEGIN CERTIFICATE-----" } } },
      "UPSTREAM_REFUSED",
    ],
  ] as const)("one that is %s", async ([, instead, code]) => {
    server.instead = instead;
    try {
      await expect(certify()).rejects.toMatchObject({ code });
    } finally {
      server.instead = undefined;
    }
  });

  test("one that is not there", async () => {
    const gone = await VaultServer.start({ issuer: intermediate, chain: [root] });
    const { url } = gone;
    await gone.close();
    await expect(certify({ url })).rejects.toMatchObject({ code: "UPSTREAM_AWAY" });
  });

  test("an intermediate without a root is asked for it by name", async () => {
    const alone = await VaultServer.start({ issuer: intermediate, chain: [] });
    const refused = certify({ url: alone.url, ca: [alone.caPem] });
    await expect(refused).rejects.toMatchObject({
      code: "UPSTREAM_REFUSED",
      message: expect.stringContaining("trustAnchors") as string,
    });
    await alone.close();
  });
});
