import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { X509SVIDResponse } from "../../src/wire/spiffe/workload/workloadapi.ts";
import { makeAuthority, makeSvid } from "../support/ca-world.ts";
import { fakeWorkloadApi, wireSvid } from "./support/fake-workload-api.ts";
import { herald, temporaryFolder } from "./support/run.ts";

const root = makeAuthority();
const intermediate = makeAuthority({ parent: root });
const other = makeAuthority({ trustDomain: "other.org" });
const web = makeSvid([root, intermediate], { serial: Buffer.from("4a01", "hex") });
const answer: X509SVIDResponse = {
  svids: [
    wireSvid(web, [root.der]),
    { ...wireSvid(makeSvid([root], { id: "spiffe://example.org/second" }), [root.der]), hint: "b" },
  ],
  crl: [],
  federatedBundles: new Map([["spiffe://other.org", Buffer.from(other.der)]]),
};

describe("fetch x509", () => {
  test("prints IDs and validity, never a key", async () => {
    using api = await fakeWorkloadApi(answer);
    const ran = await herald(["fetch", "x509"], { env: { SPIFFE_ENDPOINT_SOCKET: api.address } });
    expect(ran.err).toBe("");
    expect(ran.code).toBe(0);
    expect(ran.out.replaceAll(/^serial .*$/gm, "serial       …")).toBe(
      `received 2 X.509-SVIDs after 0 ms

SPIFFE ID    spiffe://example.org/web
serial       …
valid from   2026-11-22T11:59:50Z
valid until  in 1h (2026-11-22T13:00:00Z)
authority 1  valid until in 1d (2026-11-23T12:00:00Z)

SPIFFE ID    spiffe://example.org/second
hint         b
serial       …
valid from   2026-11-22T11:59:50Z
valid until  in 1h (2026-11-22T13:00:00Z)
authority 1  valid until in 1d (2026-11-23T12:00:00Z)

federated with  spiffe://other.org (1 authorities)
`,
    );
  });

  test("--json has the certificates and no key", async () => {
    using api = await fakeWorkloadApi(answer);
    const ran = await herald(["fetch", "x509", "--json", "--socket", api.address]);
    expect(ran.out).not.toContain("KEY");
    expect(ran.out).not.toContain(Buffer.from(web.privateKey).toString("base64").slice(0, 60));
    const { svids } = JSON.parse(ran.out) as { svids: { chain: string; serial: string }[] };
    expect(svids[0]).toMatchObject({
      spiffeId: "spiffe://example.org/web",
      notAfter: "2026-11-22T13:00:00.000Z",
      serial: "4a01",
    });
    expect(svids[0]?.chain.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  });

  test("--write makes SPIRE's files, for this user's eyes only, also in place of open ones", async () => {
    using api = await fakeWorkloadApi(answer);
    using folder = temporaryFolder();
    const dir = join(folder.path, "identity");
    mkdirSync(dir);
    writeFileSync(join(dir, "svid.0.key"), "old");
    chmodSync(join(dir, "svid.0.key"), 0o644);
    const ran = await herald(["fetch", "x509", "--socket", api.address, "--write", dir]);
    expect(ran.code).toBe(0);
    expect(readdirSync(dir).toSorted()).toEqual([
      "bundle.0.pem",
      "bundle.1.pem",
      "federated_bundle.0.0.pem",
      "federated_bundle.1.0.pem",
      "svid.0.key",
      "svid.0.pem",
      "svid.1.key",
      "svid.1.pem",
    ]);
    for (const name of readdirSync(dir)) {
      expect(statSync(join(dir, name)).mode & 0o777, name).toBe(0o600);
      expect(ran.out).toContain(`wrote ${join(dir, name)}\n`);
    }
    const leaf = new X509Certificate(readFileSync(join(dir, "svid.0.pem")));
    const key = createPrivateKey(readFileSync(join(dir, "svid.0.key")));
    expect(leaf.checkPrivateKey(key)).toBe(true);
  });

  test("a folder that cannot be made is said so", async () => {
    using api = await fakeWorkloadApi(answer);
    const ran = await herald(["fetch", "x509", "--socket", api.address, "--write", "/dev/null/x"]);
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(
      /^herald: the identities could not be written: .*\n {2}try: give a folder/,
    );
  });

  test.for([
    [status.PERMISSION_DENIED, "NODE_REFUSED", /selector unix:uid:1234/],
    [status.UNAVAILABLE, "NODE_UNREACHABLE", /has enrolled/],
    [status.INTERNAL, "NODE_REFUSED", /log/],
  ] as const)("status %i is told with what to do", async ([code, , cure]) => {
    using api = await fakeWorkloadApi({ code, details: "no" });
    const line = ["fetch", "x509", "--json", "--socket", api.address];
    const ran = await herald(line, { uid: 1234 });
    expect(ran.code).toBe(1);
    const { error } = JSON.parse(ran.err) as { error: { code: string; cure: string } };
    expect(error.code).toBe(status[code]);
    expect(error.cure).toMatch(cure);
  });

  test("nobody there", async () => {
    const ran = await herald(["fetch", "x509", "--socket", "unix:///nonexistent/s"]);
    expect(ran).toEqual({
      code: 1,
      out: "",
      err: "herald: there is no socket /nonexistent/s\n  try: start the node daemon, or give its socket with --socket unix:///path or SPIFFE_ENDPOINT_SOCKET\n",
    });
  });
});
