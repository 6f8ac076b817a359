import { describe, expect, test } from "vitest";
import type { AuditCheckpoint } from "../../src/core/envelope/audit-payloads.ts";
import { openEnvelope, sealEnvelope } from "../../src/core/envelope/envelope.ts";
import type { AuditWitness } from "../../src/issuer/audit/audit-witnesses.ts";
import { IssuerError } from "../../src/issuer/error.ts";
import { signItem, verdictOf } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { newEntry, type Office, openOffice, operator } from "./support/office.ts";

const everyMs = 10_000;

/** A witness in memory, which can be away. */
class MemoryWitness implements AuditWitness {
  readonly name: string = "memory";
  up = true;
  readonly kept: Uint8Array[] = [];

  async submit(checkpoint: Uint8Array): Promise<void> {
    await this.#answer();
    this.kept.push(checkpoint);
  }

  async last(): Promise<Uint8Array | undefined> {
    await this.#answer();
    return this.kept.at(-1);
  }

  async #answer(): Promise<void> {
    await Promise.resolve();
    if (!this.up) throw new IssuerError("WITNESS_AWAY", "away in this test");
  }
}

async function witnessedOffice(
  required: boolean,
): Promise<{ readonly office: Office; readonly witness: MemoryWitness }> {
  const witness = new MemoryWitness();
  const witnesses = { everyMs, witnesses: [{ witness, required }] };
  return { office: await openOffice({}, { witnesses }), witness };
}

function newest(office: Office, witness: MemoryWitness): AuditCheckpoint | undefined {
  const bytes = witness.kept.at(-1);
  return bytes === undefined
    ? undefined
    : openEnvelope(bytes, ["audit-checkpoint"], office.domain.trust().atAnyTime()).payload;
}

describe("checkpoints", () => {
  test("MEC-12: each head names the newest record of the audit chain", async () => {
    const office = await openOffice();
    await office.entry("/web");
    await office.clock.advance(2000);
    const last = office.host.audit.records.at(-1);
    const head = payloadOf<{ audit: unknown }>(office.host.heads.at(-1) ?? new Uint8Array());
    expect(head.audit).toEqual({
      issuer: office.domain.issuer,
      n: last?.payload.n,
      digest: last?.digest,
    });
  });

  test("MEC-12: a witness is given the newest record, signed, and only when there is news", async () => {
    const { office, witness } = await witnessedOffice(false);
    await office.clock.advance(everyMs);
    const before = witness.kept.length;
    await office.entry("/web");
    await office.clock.advance(3 * everyMs);
    expect(witness.kept.length).toBe(before + 1);
    const last = office.host.audit.records.at(-1);
    expect(newest(office, witness)).toMatchObject({
      issuer: office.domain.issuer,
      n: BigInt(last?.payload.n ?? 0),
      digest: last?.digest,
    });
  });
});

describe("a witness that is away", () => {
  test("A-10: is alarmed and stops nothing; what it missed comes when it is back", async () => {
    const { office, witness } = await witnessedOffice(false);
    witness.up = false;
    await office.entry("/one");
    await office.clock.advance(30 * everyMs);
    await office.entry("/two");
    expect(office.host.log.alarms).toContain("audit-witness");
    await office.host.restart();
    witness.up = true;
    await office.clock.advance(2 * everyMs);
    expect(newest(office, witness)?.digest).toBe(office.host.audit.records.at(-1)?.digest);
  });

  test("A-10: when it is required, nothing is issued beyond its patience, and everything again after", async () => {
    const { office, witness } = await witnessedOffice(true);
    const node = await office.node("east");
    const items = [await signItem(await office.entry("/web"))];
    const sign = async () => await node.send("sign-request", await node.signRequest(items));
    await office.clock.advance(everyMs);
    witness.up = false;
    expect(verdictOf(await sign())).toBe("sign-reply");
    await office.clock.advance(7 * everyMs);
    await expect(sign()).rejects.toMatchObject({ code: "AUDIT_UNAVAILABLE" });
    witness.up = true;
    await office.clock.advance(2 * everyMs);
    expect(verdictOf(await sign())).toBe("sign-reply");
  });

  test("A-10: when it is required, an issuer does not start without hearing what it saw", async () => {
    const { office, witness } = await witnessedOffice(true);
    witness.up = false;
    await expect(office.host.restart()).rejects.toMatchObject({ code: "WITNESS_AWAY" });
    witness.up = true;
    await office.host.start();
  });

  test("a required witness that has seen everything stops nobody, however long nothing happens", async () => {
    const { office } = await witnessedOffice(true);
    await office.clock.advance(100 * everyMs);
    await office.entry("/late");
  });
});

describe("an issuer whose chain is not what the witness saw", () => {
  test("TM-I-05: does not start on a chain that was cut off", async () => {
    const { office, witness } = await witnessedOffice(false);
    await office.entry("/one");
    const early = office.host.journal.reopen();
    const { length } = office.host.audit.records;
    await office.entry("/two");
    await office.entry("/three");
    await office.clock.advance(2 * everyMs);
    office.host.kill();
    // The attacker has the disk and the broker, but not the witness.
    office.host.journal = early;
    office.host.audit.lose(office.host.audit.records.length - length);
    await expect(office.host.start()).rejects.toMatchObject({
      code: "AUDIT_CONTRADICTED",
      message: expect.stringMatching(/memory has seen record \d+: it was cut off/) as unknown,
    });
    expect(witness.kept.length).toBeGreaterThan(0);
  });

  test("TM-I-05: does not start on a chain that was cut off and signed anew", async () => {
    const { office, witness } = await witnessedOffice(false);
    await office.entry("/one");
    const early = office.host.journal.reopen();
    const { length } = office.host.audit.records;
    await office.entry("/crime");
    await office.clock.advance(2 * everyMs);
    office.host.kill();
    office.host.journal = early;
    office.host.audit.lose(office.host.audit.records.length - length);
    // Signed anew by an issuer with the same control key, out of the witness's sight.
    const seen = witness.kept.splice(0);
    await office.host.start();
    for (const path of ["/a", "/b", "/c"])
      await office.host.issuer.createEntry(newEntry(path), operator);
    office.host.kill();
    witness.kept.splice(0, witness.kept.length, ...seen);
    await expect(office.host.start()).rejects.toMatchObject({
      code: "AUDIT_CONTRADICTED",
      message: expect.stringMatching(/has another record \d+ than the witness/) as unknown,
    });
  });

  test("A-10: what a witness made up itself is alarmed, not believed", async () => {
    const { office, witness } = await witnessedOffice(false);
    await office.clock.advance(everyMs);
    const forged = await sealEnvelope(
      "audit-checkpoint",
      {
        td: office.domain.trustDomain,
        at: office.clock.now(),
        issuer: office.domain.issuer,
        n: 1_000_000n,
        digest: "0".repeat(64),
      },
      { ...office.domain.signer, sign: () => Promise.resolve(new Uint8Array(64)) },
    );
    witness.kept.push(forged.bytes);
    await office.host.restart();
    expect(office.host.log.alarms).toContain("audit-witness-forged");
  });
});
