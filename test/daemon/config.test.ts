import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import {
  formatHostPort,
  loadAnyConfig,
  loadIssuerConfig,
  loadNodeConfig,
  parseHostPort,
} from "../../src/daemon/config.ts";
import { ConfigError } from "../../src/daemon/config-error.ts";
import { parseDuration } from "../../src/daemon/config-fields.ts";
import { defaultAdmission } from "../../src/issuer/door/admission.ts";

const folder = mkdtempSync(join(tmpdir(), "hconfig-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pin = "0123456789abcdef".repeat(4);
const issuer = `trustDomain: example.org
nats:
  servers: ["tls://127.0.0.1:4222"]
  pins: [${pin}]
  seedFile: keys/issuer.nk
  nodeSeedFile: /etc/herald/node.nk
enrolment:
  listen: 127.0.0.1:8443
`;
const node = `trustDomain: example.org
dir: state
name: web-1
issuerUrls:
  - https://issuer.example.org:8443/
`;

function file(text: string): string {
  const path = join(folder, "herald.yaml");
  writeFileSync(path, text);
  return path;
}

/** What is wrong, as `line key`; the texts are for people. */
function problems(load: (path: string) => unknown, text: string): readonly string[] {
  const error = errorOf(() => load(file(text)));
  return error.problems.map(({ line, key }) => `${line} ${key}`);
}

function errorOf(load: () => unknown): ConfigError {
  try {
    load();
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("a good file", () => {
  test("of an issuer, with every default filled in and paths relative to its folder", () => {
    expect(loadIssuerConfig(file(issuer))).toEqual({
      trustDomain: "example.org",
      dir: folder,
      nats: {
        servers: ["tls://127.0.0.1:4222"],
        pins: [pin],
        seedFile: join(folder, "keys/issuer.nk"),
        nodeSeedFile: "/etc/herald/node.nk",
      },
      enrolment: { listen: { host: "127.0.0.1", port: 8443 }, url: "https://127.0.0.1:8443" },
      admin: { socket: join(folder, "admin.sock"), group: undefined, tls: undefined },
      admission: {
        nodes: defaultAdmission,
        enrolment: {
          address: { perSecond: 20, burst: 200 },
          all: { perSecond: 100, burst: 1000 },
        },
      },
      http: { listen: { host: "127.0.0.1", port: 0 } },
      root: "online",
      headIntervalMs: 15_000,
      nodeTtlSeconds: 86_400,
      x509TtlSeconds: 3600,
      maxX509TtlSeconds: 86_400,
      authorityLifetimeMs: 30 * 86_400_000,
      lostAfterMs: 15 * 60_000,
      keys: { store: "disk", sealingKey: undefined },
      keyType: "ec-p256",
      upstream: { type: "self-signed" },
      revocation: { crlLifeMs: 7 * 86_400_000, mintMaxTtlSeconds: 3600 },
      attestors: { joinToken: true, x509pop: undefined },
      audit: { checkpointEveryMs: 10_000, witnesses: [] },
      log: { level: "info" },
    });
  });

  test.for<readonly [string, number]>([
    ["maxX509Ttl: 2d\n", 7],
    ["maxX509Ttl: 10d\n", 20],
    ["nodeTtl: 10d\n", 20],
    ["revocation: { nextUpdate: 3d }\n", 3],
  ])("REV-04 %j: CRLs hold for %i days, never less than twice as long as SVIDs", ([text, days]) => {
    expect(loadIssuerConfig(file(`${issuer}${text}`)).revocation.crlLifeMs).toBe(days * 86_400_000);
  });

  test("of an issuer, with everything set", () => {
    const text = `${issuer}  url: https://issuer.example.org/
dir: /var/lib/herald
admin: { socket: /run/herald/admin.sock, group: 1000 }
admission: { nodeItems: 2000, enrolmentsFromAddress: 1 }
http: { listen: "[::1]:9100" }
root: offline
headInterval: 2s
nodeTtl: 48h
x509Ttl: 90s
maxX509Ttl: 2d
authorityLifetime: 90d
log: { level: debug }
`;
    expect(loadIssuerConfig(file(text))).toMatchObject({
      dir: "/var/lib/herald",
      enrolment: { url: "https://issuer.example.org" },
      admin: { socket: "/run/herald/admin.sock", group: 1000 },
      admission: {
        nodes: { nodeItems: { perSecond: 2000, burst: 4000 } },
        enrolment: { address: { perSecond: 1, burst: 10 } },
      },
      http: { listen: { host: "::1", port: 9100 } },
      root: "offline",
      headIntervalMs: 2000,
      nodeTtlSeconds: 172_800,
      x509TtlSeconds: 90,
      maxX509TtlSeconds: 172_800,
      log: { level: "debug" },
    });
  });

  test("of a node, with every default filled in", () => {
    expect(loadNodeConfig(file(node))).toEqual({
      trustDomain: "example.org",
      dir: join(folder, "state"),
      name: "web-1",
      socket: "/run/herald/herald.sock",
      socketMode: 0o777,
      issuerUrls: ["https://issuer.example.org:8443"],
      joinFile: undefined,
      attestor: undefined,
      cache: "sealed",
      cacheKeyFile: "/run/herald/cache.key",
      http: { listen: { host: "127.0.0.1", port: 0 } },
      sds: {
        defaultSvidName: "default",
        defaultBundleName: "ROOTCA",
        defaultAllBundlesName: "ALL",
        disableSpiffeCertValidation: false,
      },
      revocation: { stale: "strip" },
      log: { level: "info" },
    });
  });

  test("is told apart by its keys", () => {
    expect(loadAnyConfig(file(issuer)).kind).toBe("issuer");
    expect(loadAnyConfig(file(node)).kind).toBe("node");
  });
});

describe("a wrong file names line and key", () => {
  test.for([
    ["an unknown key", `${issuer}heads: 3\n`, ["9 heads"]],
    ["an unknown key deep down", issuer.replace("pins:", "pin:"), ["2 nats.pins", "4 nats.pin"]],
    ["a missing section", issuer.slice(0, issuer.indexOf("enrolment")), ["1 enrolment"]],
    ["a bad trust domain", issuer.replace("example.org", "Example.org"), ["1 trustDomain"]],
    ["a bad item of a list", issuer.replace("tls://127", "nats://127"), ["3 nats.servers.0"]],
    ["an empty list", issuer.replace(`[${pin}]`, "[]"), ["4 nats.pins"]],
    ["a bad pin", issuer.replace(pin, pin.toUpperCase()), ["4 nats.pins.0"]],
    ["a number for a duration", `${issuer}headInterval: 15\n`, ["9 headInterval"]],
    ["a duration without unit", `${issuer}nodeTtl: "24"\n`, ["9 nodeTtl"]],
    ["a duration out of bounds", `${issuer}headInterval: 1h\n`, ["9 headInterval"]],
    ["a lifetime above the limit", `${issuer}\nx509Ttl: 25h\n`, ["10 x509Ttl"]],
    [
      "a limit above the authority's",
      `${issuer}authorityLifetime: 2h\n`,
      ["9 maxX509Ttl", "9 nodeTtl"],
    ],
    [
      "CRLs that end before SVIDs may",
      `${issuer}revocation: { nextUpdate: 1d }\n`,
      ["9 revocation.nextUpdate"],
    ],
    ["plain http", `${issuer}  url: http://issuer\n`, ["9 enrolment.url"]],
    ["a user in a URL", `${issuer}  url: https://u@issuer\n`, ["9 enrolment.url"]],
    ["a fractional gid", `${issuer}admin: { group: 1.5 }\n`, ["9 admin.group"]],
    [
      "a socket path too long",
      `${issuer}admin:\n  socket: /${"s".repeat(120)}\n`,
      ["10 admin.socket"],
    ],
    ["several things", `${issuer}root: on\nlog:\n  level: loud\n`, ["9 root", "11 log.level"]],
    ["an empty file", "", ["1 "]],
    ["a list", "- a\n", ["1 "]],
  ] as const)("%s", ([, text, expected]) => {
    // Cross-checks of what has defaults only stand at the key that is not there: at the file's first line.
    const at = problems(loadIssuerConfig, text);
    expect(at.map((one) => one.split(" ")[1])).toEqual(expected.map((one) => one.split(" ")[1]));
    if (!text.includes("authorityLifetime")) expect(at).toEqual(expected);
  });

  test.for([
    ["a mode that YAML reads as a number", `${node}socketMode: 0777\n`, ["6 socketMode"]],
    ["a mode that is none", `${node}socketMode: "0999"\n`, ["6 socketMode"]],
    ["a name the issuer would refuse", node.replace("web-1", "Web_1"), ["3 name"]],
    ["an http issuer", node.replace("https:", "http:"), ["5 issuerUrls.0"]],
    ["an unknown cache", `${node}cache: disk\n`, ["6 cache"]],
    ["a policy nobody knows", `${node}revocation: { stale: keep }\n`, ["6 revocation.stale"]],
    ["an unknown key of a section", `${node}revocation: { old: strip }\n`, ["6 revocation.old"]],
    ["a section that is text", `${node}revocation: strip\n`, ["6 revocation"]],
    [
      "a switch that is text",
      `${node}sds: { disableSpiffeCertValidation: "no" }\n`,
      ["6 sds.disableSpiffeCertValidation"],
    ],
    ["no folder", node.replace("dir: state\n", ""), ["1 dir"]],
  ] as const)("%s", ([, text, expected]) => {
    expect(problems(loadNodeConfig, text)).toEqual(expected);
  });

  test.for([
    ["a tab", `${node}\tlog: {}\n`],
    ["a key twice", `${node}name: web-2\n`],
    ["two documents", `${node}---\n${node}`],
    ["an unknown tag", `${node}cache: !secret x\n`],
    ["an alias of nothing", `${node}cache: *missing\n`],
  ])("%s is no YAML that Herald reads", ([, text = ""]) => {
    const error = errorOf(() => loadNodeConfig(file(text)));
    expect(error.code).toBe("CONFIG_SYNTAX");
    expect(error.message).toMatch(/herald\.yaml:\d+: /);
  });

  test("every message says what to do", () => {
    const error = errorOf(() => loadIssuerConfig(file("nats: 3\nroot: on\n")));
    expect(error.code).toBe("CONFIG_INVALID");
    for (const { message } of error.problems) expect(message).toMatch(/write|the keys are|must be/);
  });

  test("a file that is not there", () => {
    const error = errorOf(() => loadIssuerConfig(join(folder, "none.yaml")));
    expect(error.code).toBe("CONFIG_UNREADABLE");
    expect(error.message).toContain(join(folder, "none.yaml"));
  });
});

describe("values", () => {
  test.for([
    ["15s", 15_000],
    ["100ms", 100],
    ["10m", 600_000],
    ["24h", 86_400_000],
    ["30d", 2_592_000_000],
    ["0s", 0],
    ["15", undefined],
    ["1.5h", undefined],
    ["-1s", undefined],
    ["1h30m", undefined],
    ["1 h", undefined],
    ["", undefined],
  ] as const)("duration %j is %s", ([text, ms]) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.for([
    ["127.0.0.1:8443", { host: "127.0.0.1", port: 8443 }],
    ["[::1]:0", { host: "::1", port: 0 }],
    ["issuer.example.org:65535", { host: "issuer.example.org", port: 65_535 }],
    ["localhost:65536", undefined],
    ["localhost", undefined],
    ["::1:80", undefined],
    ["a b:1", undefined],
    [":1", undefined],
  ] as const)("address %j", ([text, address]) => {
    expect(parseHostPort(text)).toEqual(address);
  });

  test("an address is printed as it was read", () => {
    const texts = fc
      .tuple(
        fc.oneof(
          fc.domain(),
          fc.ipV4(),
          fc.ipV6().map((v6) => `[${v6}]`),
        ),
        fc.nat(65_535),
      )
      .map(([host, port]) => `${host}:${port}`);
    fc.assert(
      fc.property(texts, (text) => {
        const address = parseHostPort(text);
        expect(address && formatHostPort(address)).toBe(text);
      }),
    );
  });

  test("no text at all makes the reader throw anything but a ConfigError", () => {
    const lines = fc.array(
      fc.oneof(fc.constantFrom(...issuer.split("\n"), ...node.split("\n")), fc.string()),
    );
    fc.assert(
      fc.property(lines, (some) => {
        const path = file(some.join("\n"));
        try {
          loadAnyConfig(path);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(ConfigError);
        }
      }),
    );
  });
});
