import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import type { ReadAuditRequest } from "../../src/wire/herald/v1/audit.ts";
import { extend, type Link } from "../support/audit-records.ts";
import { simulationDomain } from "../support/simulation-domain.ts";
import { fakeAdmin } from "./support/fake-admin.ts";
import { herald, noon, temporaryFolder } from "./support/run.ts";

const domain = await simulationDomain(noon - 1000);
const node = parseSpiffeId("spiffe://example.org/herald/node/join_token/a");
const hour = 3_600_000;

/** Seven records: orders, an enrolment, an issue of two SVIDs of which one has ended, and a ban. */
const chain = await (async () => {
  const by = { kind: "unix", uid: 0, pid: 7 } as const;
  const svid = {
    serial: "4a01",
    tbsSha256: "01".repeat(32),
    spiffeId: parseSpiffeId("spiffe://example.org/web"),
    entry: "e1",
    revision: 3n,
    notAfter: noon + hour,
    authority: "a1",
    purpose: { kind: "caller", selectors: [], pid: 42 },
  } as const;
  const ended = { ...svid, serial: "4a02", notAfter: noon - hour };
  let links = await extend(domain, [], { count: 2, mark: "x\u001b" });
  for (const action of [
    { kind: "node-enrolled", node, serial: "4aff", tbsSha256: "02".repeat(32), by: "join_token t" },
    { kind: "svids-issued", node, svids: [svid, ended] },
    { kind: "svids-refused", node, refused: [{ entry: "e2", code: "ENTRY_UNKNOWN" }] },
    {
      kind: "request-refused",
      since: noon,
      refused: [{ node, code: "NODE_BANNED", reason: "", count: 4 }],
      others: 0,
    },
    { kind: "admin", verb: "node ban", subject: node, by },
  ] as const)
    links = await extend(domain, links, { count: 1, payload: { action } });
  return links;
})();

function point(n: number, links: readonly Link[] = chain) {
  return { issuer: domain.issuer, n: BigInt(n), digest: links[n - 1]?.digest ?? "" };
}

async function checkpoint(n: number): Promise<Buffer> {
  const stamp = { td: domain.trustDomain, at: noon };
  return (await sealEnvelope("audit-checkpoint", { ...stamp, ...point(n) }, domain.signer)).bytes;
}

/** An issuer that shows this chain, as a hostile one may. */
async function showing(links: readonly Link[], witnessed: readonly number[] = []) {
  const asked: ReadAuditRequest[] = [];
  const checkpoints = await Promise.all(witnessed.map(checkpoint));
  const admin = await fakeAdmin({
    describeAudit: () => ({
      trustDomain: domain.trustDomain,
      pin: domain.pin,
      issuer: domain.issuer,
      head: Buffer.alloc(0),
      witnesses: [
        ...checkpoints.map((bytes) => ({ name: "nats W", checkpoint: bytes, problem: "" })),
        { name: "webhook https://w", checkpoint: Buffer.alloc(0), problem: "does not answer" },
      ],
    }),
    readAudit(request) {
      asked.push(request);
      const messages = links.map(({ bytes }, at) => ({
        sequence: BigInt(at + 1),
        envelope: Buffer.from(bytes),
      }));
      return { messages };
    },
  });
  return { ...admin, asked };
}

describe("audit tail, show and node", () => {
  test("tail tells each record in words; nothing in it moves the terminal", async () => {
    using admin = await showing(chain);
    const ran = await herald(["audit", "tail", "--since", "1", "--admin", admin.address]);
    expect(ran.err).toBe("");
    expect(admin.asked).toMatchObject([{ since: 1n, follow: true }]);
    expect(ran.out.split("\n").slice(1)).toEqual([
      "2  2026-11-22T12:00:00Z  admin  uid 0 (pid 1) orders: test x?",
      `3  2026-11-22T12:00:00Z  node-enrolled  ${node} gets 4aff (join_token t)`,
      `4  2026-11-22T12:00:00Z  svids-issued  ${node} gets spiffe://example.org/web 4a01 (pid 42, ), spiffe://example.org/web 4a02 (pid 42, )`,
      `5  2026-11-22T12:00:00Z  svids-refused  ${node} is refused e2: ENTRY_UNKNOWN`,
      `6  2026-11-22T12:00:00Z  request-refused  since 2026-11-22T12:00:00Z: 4 × NODE_BANNED to ${node}, 0 others`,
      `7  2026-11-22T12:00:00Z  admin  uid 0 (pid 7) orders: node ban ${node}`,
      "",
    ]);
  });

  test("tail says of a record that no issuer signed that it is none", async () => {
    const forged = chain.map((one, at) => (at === 1 ? { ...one, bytes: Buffer.from("{}") } : one));
    using admin = await showing(forged);
    const ran = await herald(["audit", "tail", "--count", "2", "--admin", admin.address]);
    expect(ran.out.split("\n")[1]).toMatch(/^- {2}\(sequence 2\) no issuer signed this/);
  });

  test.for(["4", "4a02", "01".repeat(32), "digest"])("show finds by %s", async (what) => {
    using admin = await showing(chain);
    const find = what === "digest" ? (chain[3]?.digest ?? "") : what;
    const ran = await herald(["audit", "show", find, "--json", "--admin", admin.address]);
    expect(JSON.parse(ran.out)).toMatchObject({ n: "4", action: { kind: "svids-issued" } });
  });

  test("show of what is not there fails", async () => {
    using admin = await showing(chain);
    const ran = await herald(["audit", "show", "99", "--admin", admin.address]);
    expect([ran.code, ran.out]).toEqual([1, ""]);
    expect(ran.err).toMatch(/no record of 99/);
  });

  test("node tells what it holds now, by which record, and what was ordered about it", async () => {
    using admin = await showing(chain);
    const ran = await herald(["audit", "node", node, "--admin", admin.address]);
    expect(ran.out).toBe(`3  2026-11-22T12:00:00Z  node-enrolled  ${node} gets 4aff (join_token t)
7  2026-11-22T12:00:00Z  admin  uid 0 (pid 7) orders: node ban ${node}
refused so far: 1 CSRs, 4 requests

SPIFFE ID                 SERIAL  EXPIRES                       REVOKED  ENTRY            FOR       RECORD
spiffe://example.org/web  4a01    in 1h (2026-11-22T13:00:00Z)  -        e1 (revision 3)  pid 42,   4 of 2026-11-22T12:00:00Z
`);
  });
});

describe("audit verify", () => {
  const offline = ["--pin", domain.pin, "--trust-domain", "example.org"];

  test("of a whole chain: exit code 0, and who has seen it up to where", async () => {
    using admin = await showing(chain, [5]);
    const ran = await herald(["audit", "verify", "--admin", admin.address]);
    expect(ran).toEqual({
      code: 0,
      err: "",
      out: `issuer           spiffe://example.org/herald/issuer/one
records          7 (1 to 7)
last digest      ${chain[6]?.digest}
witness          the newest head: 0 checkpoints; names no audit chain
witness          nats W: 1 checkpoint
witness          webhook https://w: 0 checkpoints; does not answer
witnessed up to  record 5
result           whole
`,
    });
  });

  test("TM-I-05: a truncated chain that was signed anew is caught by the witness: exit code 1", async () => {
    const forged = await extend(domain, chain.slice(0, 3), { count: 5, mark: "innocent" });
    using admin = await showing(forged, [2, 5]);
    const ran = await herald(["audit", "verify", "--json", "--admin", admin.address]);
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({
      whole: false,
      reports: [{ witnessed: "2", findings: [{ code: "REWRITTEN", n: "5" }] }],
    });
  });

  test("from a file, with a witness's file and a head, and no issuer at all", async () => {
    using folder = temporaryFolder();
    const [file, witness, heads] = ["chain", "witness", "heads"].map((name) =>
      join(folder.path, name),
    ) as [string, string, string];
    writeFileSync(file, `${chain.map(({ bytes }) => Buffer.from(bytes)).join("\n")}\n`);
    writeFileSync(witness, `${(await Promise.all([2, 6].map(checkpoint))).join("\n")}\n`);
    const head = {
      td: domain.trustDomain,
      at: noon,
      epoch: 1n,
      term: 1n,
      n: 1n,
      objects: {},
      merkleRoot: "0".repeat(64),
      viewEveryMs: 1,
      ackSpreadMs: 1,
      expires: noon,
      audit: point(7),
    };
    writeFileSync(heads, (await sealEnvelope("head", head, domain.signer)).bytes);
    const line = [
      "audit",
      "verify",
      "--from-file",
      file,
      ...offline,
      "--witness",
      `file:${witness}`,
    ];
    expect((await herald([...line, "--head", heads])).out).toMatch(
      /witnessed up to {2}record 7\nresult {11}whole\n$/,
    );
    // Cut off in the file: the witness has seen more.
    writeFileSync(
      file,
      `${chain
        .slice(0, 4)
        .map(({ bytes }) => Buffer.from(bytes))
        .join("\n")}\n`,
    );
    const cut = await herald(line);
    expect(cut.code).toBe(1);
    expect(cut.out).toMatch(
      /BROKEN at record 4\n {2}TRUNCATED {2}the chain ends at record 4.*record 6/,
    );
    // By another root nothing in it is signed.
    const foreign = line.map((word) => (word === domain.pin ? "0".repeat(64) : word));
    expect((await herald(foreign)).code).toBe(1);
  });

  test.for([
    [["--from-file", "x"], /needs --pin/],
    [["--pin", "xyz"], /64 lower-case hex/],
    [["--from-file", "x", ...offline, "--witness", "nats:x"], /file:PATH/],
  ] as const)("%j is a usage error", async ([args, message]) => {
    const ran = await herald(["audit", "verify", ...args]);
    expect([ran.code, message.test(ran.err)]).toEqual([2, true]);
  });

  test("a file that is not there is told", async () => {
    const ran = await herald(["audit", "verify", "--from-file", "/nowhere", ...offline]);
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/\/nowhere cannot be read/);
  });
});
