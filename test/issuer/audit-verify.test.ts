import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { controlSigner } from "../../src/core/envelope/signers.ts";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import {
  ChainCheck,
  type ChainReport,
  type SeenPoint,
} from "../../src/issuer/audit/audit-verify.ts";
import { extend, type Link } from "../support/audit-records.ts";
import { type SimulationDomain, simulationDomain } from "../support/simulation-domain.ts";

const start = Date.UTC(2026, 10, 22, 12);

function check(
  domain: SimulationDomain,
  chain: readonly { readonly bytes: Uint8Array }[],
  seen: readonly SeenPoint[] = [],
): ChainReport {
  const checking = new ChainCheck({ issuer: domain.issuer, trust: domain.trust(), seen });
  for (const { bytes } of chain) checking.take(bytes);
  return checking.end();
}

function faults(report: ChainReport): readonly string[] {
  return report.findings.map(({ code, n }) => `${code} ${n}`);
}

function seenBy(domain: SimulationDomain, chain: readonly Link[], n: number): SeenPoint {
  const { digest = "" } = chain[n - 1] ?? {};
  return { issuer: domain.issuer, n: BigInt(n), digest, by: "the witness" };
}

const domain = await simulationDomain(start);
const whole = await extend(domain, [], { count: 20 });

describe("a chain as it stands", () => {
  test("that is whole has no finding, and says how far it goes", () => {
    expect(check(domain, whole, [seenBy(domain, whole, 7)])).toEqual({
      issuer: domain.issuer,
      records: 20,
      first: 1n,
      last: 20n,
      digest: whole[19]?.digest,
      witnessed: 7n,
      findings: [],
    });
  });

  test("whose old records retention took says where it begins", () => {
    expect(check(domain, whole.slice(5))).toMatchObject({ first: 6n, last: 20n, findings: [] });
  });

  test.for<
    readonly [string, (chain: readonly Link[]) => readonly { bytes: Uint8Array }[], string[]]
  >([
    ["a record is missing", (chain) => chain.filter(({ n }) => n !== 8n), ["GAP 8"]],
    ["three are missing", (chain) => chain.filter(({ n }) => n < 8n || n > 10n), ["GAP 8"]],
    [
      "a bit of one is changed",
      (chain) => chain.map((one) => (one.n === 8n ? { bytes: flipped(one.bytes) } : one)),
      ["SIGNATURE 8", "GAP 8"],
    ],
    [
      "two are swapped",
      (chain) => chain.toSpliced(7, 2, ...chain.slice(7, 9).toReversed()),
      ["GAP 8", "ORDER 8"],
    ],
    ["one stands twice", (chain) => chain.toSpliced(8, 0, ...chain.slice(7, 8)), ["ORDER 8"]],
  ])("INV-9: %s: it is told at which number", ([, bend, expected]) => {
    expect(faults(check(domain, bend(whole)))).toEqual(expected);
  });

  test("INV-9: one number with two contents is a fork, told at its number", async () => {
    const other = (await extend(domain, whole.slice(0, 7), { count: 1, mark: "other" }))[7];
    if (other === undefined) throw new RangeError("no record");
    expect(faults(check(domain, whole.toSpliced(8, 0, other)))).toEqual(["FORK 8"]);
  });

  test("INV-9: a record that was exchanged shows at the one behind it", async () => {
    const other = (await extend(domain, whole.slice(0, 7), { count: 1, mark: "other" }))[7];
    if (other === undefined) throw new RangeError("no record");
    expect(faults(check(domain, whole.toSpliced(7, 1, other)))).toEqual(["LINK 9"]);
  });

  test("INV-9: a chain begun anew in the middle", async () => {
    const record = { prev: "1".repeat(64) };
    const begun = await extend(domain, [], { count: 1, payload: record });
    expect(faults(check(domain, begun))).toEqual(["LINK 1"]);
  });
});

describe("who signed", () => {
  test("TM-I-05: another issuer's record, and one by another issuer's control key", async () => {
    const issuer = parseSpiffeId("spiffe://example.org/herald/issuer/two");
    const foreign = await extend(domain, whole.slice(0, 3), { count: 1, payload: { issuer } });
    expect(faults(check(domain, foreign))).toEqual(["ORDER 4"]);
    const checking = new ChainCheck({ issuer, trust: domain.trust(), seen: [] });
    const first = await extend(domain, [], { count: 1, payload: { issuer } });
    for (const { bytes } of first) checking.take(bytes);
    expect(faults(checking.end())).toEqual(["CERTIFICATE 1"]);
  });

  test("TM-I-05: a control key that nobody certified, and a record from before its certificate", async () => {
    const own = generateKeyPairSync("ed25519").privateKey;
    const certificate = Buffer.from(domain.signer.accompanied.certificate ?? "", "base64");
    const stranger = { ...domain, signer: controlSigner(own, certificate) };
    expect(faults(check(domain, await extend(stranger, [], { count: 1 })))).toEqual([
      "SIGNATURE 1",
    ]);
    const at = start - 2 * 86_400_000;
    expect(faults(check(domain, await extend(domain, [], { count: 1, payload: { at } })))).toEqual([
      "CERTIFICATE 1",
    ]);
  });
});

describe("re-signing a truncated chain is caught by the witness (TM-I-05)", () => {
  test("cut and signed anew, longer than before: it is told between which numbers", async () => {
    // The attacker holds the control key, so the chain alone shows nothing.
    const forged = await extend(domain, whole.slice(0, 12), { count: 15, mark: "innocent" });
    expect(check(domain, forged).findings).toEqual([]);
    const seen = [5, 10, 15, 20].map((n) => seenBy(domain, whole, n));
    const report = check(domain, forged, seen);
    expect(faults(report)).toEqual(["REWRITTEN 15", "REWRITTEN 20"]);
    expect(report.witnessed).toBe(10n);
    expect(report.findings[0]?.text).toMatch(/behind record 10 or later/);
  });

  test("cut and left so: it is told how many are gone", () => {
    const report = check(domain, whole.slice(0, 12), [seenBy(domain, whole, 20)]);
    expect(faults(report)).toEqual(["TRUNCATED 12"]);
    expect(report.findings[0]?.text).toMatch(/ends at record 12.*seen record 20.*8 records/);
  });

  test("emptied", () => {
    expect(faults(check(domain, [], [seenBy(domain, whole, 3)]))).toEqual(["TRUNCATED 0"]);
  });
});

function flipped(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("utf8");
  return Buffer.from(
    text.replace(/"payload":"(.{40})./, (_all, kept: string) => `"payload":"${kept}A`),
  );
}
