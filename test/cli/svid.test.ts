import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readCsr } from "../../src/core/x509/csr.ts";
import type { ListSvidsRequest, MintSvidRequest } from "../../src/wire/herald/v1/svids.ts";
import { History, type RevokeSvidsRequest, type Svid } from "../../src/wire/herald/v1/svids.ts";
import { makeAuthority, makeLeaf } from "../support/ca-world.ts";
import { fakeAdmin } from "./support/fake-admin.ts";
import { herald, noon, temporaryFolder } from "./support/run.ts";

const minute = 60_000;
const serial = "40".repeat(16);
const svid: Svid = {
  serial,
  spiffeId: "spiffe://example.org/web",
  node: "spiffe://example.org/herald/node/join_token/east",
  entry: "e1",
  authority: "a1",
  kind: "caller",
  issuedAt: BigInt(noon - minute),
  notAfter: BigInt(noon + 59 * minute),
  revokedAt: 0n,
  reason: "",
};
const revoked: Svid = { ...svid, revokedAt: BigInt(noon), reason: "keyCompromise" };

describe("svid", () => {
  test("list asks for what was said, shows it, and how to go on", async () => {
    const asked: ListSvidsRequest[] = [];
    using admin = await fakeAdmin({
      listSvids(request) {
        asked.push(request);
        return { svids: [svid], nextPageToken: "17.40", history: History.GAP };
      },
    });
    const env = { HERALD_ADMIN: admin.address };
    const ran = await herald(["svid", "list", "--entry", "e1", "--limit", "1"], { env });
    expect(asked[0]).toMatchObject({ entry: "e1", node: "", revoked: false, pageSize: 1 });
    expect({ code: ran.code, err: ran.err }).toEqual({ code: 0, err: "" });
    expect(ran.out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["SERIAL", "SPIFFE ID", "NODE", "ENTRY", "EXPIRES", "REVOKED"],
      [serial, svid.spiffeId, svid.node, "e1", "in 59m (2026-11-22T12:59:00Z)", "-"],
      ["more: --page 17.40"],
      [expect.stringContaining("The audit stream has lost records")],
      [""],
    ]);
    const json = await herald(["svid", "list", "--json"], { env });
    expect(JSON.parse(json.out)).toMatchObject({
      svids: [{ serial, notAfter: "2026-11-22T12:59:00.000Z", revokedAt: null }],
      next: "17.40",
      history: "gap",
    });
  });

  test("show tells everything about one", async () => {
    using admin = await fakeAdmin({ getSvid: () => ({ svid: revoked }) });
    const ran = await herald(["svid", "show", serial, "--admin", admin.address]);
    expect(ran.out).toContain("revoked    keyCompromise, in 0s (2026-11-22T12:00:00Z)");
  });

  test.for<readonly [string, Partial<RevokeSvidsRequest>]>([
    [`--serial ${serial}`, { target: { $case: "serial", value: serial }, reason: "unspecified" }],
    [
      "--entry e1 --reason superseded",
      { target: { $case: "entry", value: "e1" }, reason: "superseded" },
    ],
    [
      `--serial ${serial} --authority a1 --not-after 2026-11-22T13:00:00Z`,
      {
        target: { $case: "serial", value: serial },
        authority: "a1",
        notAfter: BigInt(noon + 60 * minute),
      },
    ],
  ])("revoke %s asks for exactly that, and says what it does not do", async ([line, expected]) => {
    const asked: RevokeSvidsRequest[] = [];
    using admin = await fakeAdmin({
      revokeSvids(request) {
        asked.push(request);
        return { revoked: [revoked], already: [], unenforced: [], history: History.WHOLE };
      },
    });
    const ran = await herald(["svid", "revoke", ...line.split(" "), "--admin", admin.address]);
    expect(ran.err).toBe("");
    expect(asked[0]).toMatchObject(expected);
    expect(ran.out).toMatch(/^revoked 1 SVID\n[\s\S]*signed as before: `herald entry delete`/);
  });

  test("revoke that no CRL tells of ends with 1 and says so", async () => {
    const unenforced = [{ authority: "a1", reason: "its key is gone" }];
    using admin = await fakeAdmin({
      revokeSvids: () => ({ revoked: [revoked], already: [], unenforced, history: History.WHOLE }),
    });
    const ran = await herald(["svid", "revoke", "--serial", serial, "--admin", admin.address]);
    expect(ran.code).toBe(1);
    expect(ran.out).toContain("NOT ENFORCED");
  });

  test.for([
    "revoke",
    `revoke --serial ${serial} --entry e1`,
    `revoke --serial ${serial} --authority a1`,
    "revoke --entry e1 --authority a1 --not-after 2026-11-22T13:00:00Z",
    `revoke --serial ${serial} --authority a1 --not-after tomorrow`,
    "mint --spiffe-id spiffe://example.org/db --write /nowhere",
  ])("%s is refused before anybody is asked", async (line) => {
    const ran = await herald(["svid", ...line.split(" ")]);
    expect(ran.code).toBe(2);
  });

  test("INV-1 mint: the key stays here, readable by this user alone; the CSR alone is sent", async () => {
    const authority = makeAuthority();
    const asked: MintSvidRequest[] = [];
    using folder = temporaryFolder();
    using admin = await fakeAdmin({
      mintSvid(request) {
        asked.push(request);
        const chain = [Buffer.from(makeLeaf(authority))];
        return { svid, chain, bundle: [Buffer.from(authority.der)] };
      },
    });
    const write = join(folder.path, "made");
    const line = [
      "svid",
      "mint",
      "--spiffe-id",
      svid.spiffeId,
      "--reason",
      "INC-1",
      "--write",
      write,
    ];
    const ran = await herald([...line, "--dns", "db.internal", "--admin", admin.address]);
    expect(ran.err).toBe("");
    expect(asked[0]).toMatchObject({
      spiffeId: svid.spiffeId,
      reason: "INC-1",
      dnsNames: ["db.internal"],
    });
    expect(readCsr(asked[0]?.csr ?? new Uint8Array()).spki.length).toBeGreaterThan(0);
    expect(JSON.stringify(asked[0])).not.toContain("PRIVATE");
    for (const name of ["key.pem", "svid.pem", "bundle.pem"]) {
      expect(statSync(join(write, name)).mode & 0o777).toBe(0o600);
      expect(ran.out).toContain(`wrote ${join(write, name)}`);
    }
    expect(readFileSync(join(write, "key.pem"), "utf8")).toContain("BEGIN PRIVATE KEY");
  });
});
