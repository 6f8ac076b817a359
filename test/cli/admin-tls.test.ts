import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseTlsAddress } from "../../src/cli/admin-tls.ts";
import { verifyX509Svid } from "../../src/core/svid/verify.ts";
import { certificatesToPem, toPem } from "../../src/core/x509/pem.ts";
import { silentLog } from "../../src/kit/log.ts";
import { createGrpcServer } from "../../src/rpc/grpc-server.ts";
import { TlsCallers } from "../../src/rpc/tls-callers.ts";
import { listenTls } from "../../src/rpc/tls-server.ts";
import { EntryServiceService, ListEntriesResponse } from "../../src/wire/herald/v1/entries.ts";
import {
  bundlesOf,
  makeAuthority,
  makeBundle,
  makeSvid,
  noon,
  type WorldAuthority,
} from "../support/ca-world.ts";
import { herald, temporaryFolder } from "./support/run.ts";

// TLS goes by the machine's clock and the CLI's own rules by the held one: dates that hold on both.
const dates = { notBefore: noon - 3_600_000, notAfter: Date.UTC(2090, 0, 1) };

function authority(trustDomain = "example.org"): WorldAuthority {
  return makeAuthority({ ...dates, trustDomain });
}

function pemOf(id: string, by: WorldAuthority): { readonly cert: string; readonly key: string } {
  const { chain, privateKey } = makeSvid([by], { id, ...dates });
  return { cert: certificatesToPem(chain), key: toPem("PRIVATE KEY", privateKey) };
}

/** A port where somebody who shows this plays an issuer without entries. */
async function port(
  shown: { readonly id: string; readonly by: WorldAuthority },
  trusted: WorldAuthority,
): Promise<string> {
  const server = createGrpcServer();
  const listEntries = (
    _call: unknown,
    done: (error: null, answer: ListEntriesResponse) => void,
  ): void => done(null, ListEntriesResponse.decode(new Uint8Array()));
  server.addService(EntryServiceService, { listEntries });
  const listener = await listenTls({
    host: "127.0.0.1",
    port: 0,
    server,
    identity: pemOf(shown.id, shown.by),
    callers: new TlsCallers<string>(),
    authenticate: (chain) =>
      verifyX509Svid(chain, bundlesOf(makeBundle("example.org", [trusted])), noon),
    authorise: ({ id }) => id,
    refusal: () => ({ code: 7, details: "no" }),
    log: silentLog,
  });
  onTestFinished(async () => {
    await listener.close(0);
    server.forceShutdown();
  });
  return `tls://127.0.0.1:${listener.port}`;
}

/** As `herald fetch x509 --write` leaves it. */
function svidDir(by: WorldAuthority, trusts: WorldAuthority = by): string {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const { cert, key } = pemOf("spiffe://example.org/ops", by);
  writeFileSync(join(folder.path, "svid.0.pem"), cert);
  writeFileSync(join(folder.path, "svid.0.key"), key);
  writeFileSync(join(folder.path, "bundle.0.pem"), certificatesToPem([trusts.der]));
  return folder.path;
}

const issuer = "spiffe://example.org/herald/issuer/1";
const empty = "no entries; `herald entry create` makes one\n";

describe("an issuer's admin port", () => {
  test("is called with an SVID from a folder, by flags, by the address alone, or by HERALD_ADMIN", async () => {
    const ours = authority();
    const address = await port({ id: issuer, by: ours }, ours);
    const dir = svidDir(ours);
    const byFlags = await herald(["entry", "list", "--admin", address, "--svid-dir", dir]);
    expect([byFlags.err, byFlags.out]).toEqual(["", empty]);
    const whole = `${address}?svid-dir=${dir}`;
    expect((await herald(["entry", "list", "--admin", whole])).out).toBe(empty);
    const env = { HERALD_ADMIN: address };
    expect((await herald(["entry", "list", "--svid-dir", dir], { env })).out).toBe(empty);
    expect((await herald(["entry", "list"], { env: { HERALD_ADMIN: whole } })).out).toBe(empty);
  });

  test.for<readonly [string, (ours: WorldAuthority) => { id: string; by: WorldAuthority }]>([
    ["a workload", (by) => ({ id: "spiffe://example.org/web", by })],
    ["a node", (by) => ({ id: "spiffe://example.org/herald/node/join_token/x", by })],
    ["a path below an issuer's", (by) => ({ id: `${issuer}/x`, by })],
    ["an issuer of a foreign CA", () => ({ id: issuer, by: authority() })],
    [
      "an issuer of another trust domain by our CA",
      (by) => ({ id: "spiffe://example.com/herald/issuer/1", by }),
    ],
  ])("TM-X-01: who answers as %s is sent nothing", async ([, who]) => {
    const ours = authority();
    const address = await port(who(ours), ours);
    const ran = await herald([
      "entry",
      "list",
      "--json",
      "--admin",
      address,
      "--svid-dir",
      svidDir(ours),
    ]);
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.err)).toMatchObject({ error: { code: "ADMIN_DENIED" } });
  });

  test("that does not know this client's SVID ends with a failure", async () => {
    const ours = authority();
    const address = await port({ id: issuer, by: ours }, ours);
    const dir = svidDir(authority(), ours);
    const ran = await herald(["entry", "list", "--admin", address, "--svid-dir", dir]);
    expect([ran.code, ran.out]).toEqual([1, ""]);
  });

  test("where nobody listens, no SVID, or no Workload API: each says what to do", async () => {
    const ours = authority();
    const gone = await herald([
      "entry",
      "list",
      "--json",
      "--admin",
      "tls://127.0.0.1:1",
      "--svid-dir",
      svidDir(ours),
    ]);
    expect(JSON.parse(gone.err)).toMatchObject({ error: { code: "ADMIN_UNREACHABLE" } });
    const none = await herald([
      "entry",
      "list",
      "--admin",
      "tls://127.0.0.1:1",
      "--svid-dir",
      "/nonexistent",
    ]);
    expect(none.code).toBe(2);
    expect(none.err).toContain("try: make one with: herald fetch x509 --write DIR");
    const api = await herald([
      "entry",
      "list",
      "--json",
      "--admin",
      "tls://127.0.0.1:1",
      "--workload-socket",
      "unix:///nonexistent/x.sock",
    ]);
    expect(JSON.parse(api.err)).toMatchObject({ error: { code: "NODE_UNREACHABLE" } });
    const unix = await herald(["entry", "list", "--admin", "unix:///x.sock", "--svid-dir", "/x"]);
    expect([unix.code, unix.err]).toEqual([
      2,
      "herald: --svid-dir and --workload-socket are for an admin port\n  try: give its address with --admin tls://host:port\n",
    ]);
  });
});

test.for([
  ["tls://issuer.example.org:8444", "issuer.example.org", 8444],
  ["tls://[::1]:1", "::1", 1],
] as const)("%s is an address", ([address, host, portNumber]) => {
  expect(parseTlsAddress(address)).toMatchObject({ host, port: portNumber });
});

test.for([
  "tls://",
  "tls://h",
  "tls://h:0x",
  "tls://u@h:1",
  "tls://h:1/x",
  "tls://h:1?x=1",
  "tls:h",
])("%s is none", (address) => {
  expect(() => parseTlsAddress(address)).toThrow(/is not the address of an admin port/);
});
