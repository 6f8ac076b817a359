import { describe, expect, test } from "vitest";
import { parseBundle } from "../../src/core/bundle/document.ts";
import { bundleKey } from "../../src/core/envelope/object-keys.ts";
import type {
  Ack,
  AuthorityUse,
  BundleState,
  ConsumerReport,
} from "../../src/core/envelope/payloads.ts";
import type { Version } from "../../src/core/envelope/version.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import type { Asker } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { type Office, openOffice, operator } from "./support/office.ts";

const hourMs = 3_600_000;

interface Published {
  readonly version: Version;
  readonly sequence: bigint;
  readonly active: string;
  readonly roots: number;
}

/** The bundle as nodes read it. */
async function published({ host, domain }: Office): Promise<Published> {
  const { trustDomain } = domain;
  const bytes = await host.bus.node("eyes").read(bundleKey(trustDomain));
  const { version, document, activeAuthority } = payloadOf<BundleState>(bytes ?? new Uint8Array());
  const bundle = parseBundle(trustDomain, document);
  const { epoch, term, seq } = version;
  return {
    version: { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) },
    sequence: bundle.sequence,
    active: activeAuthority,
    roots: bundle.x509Authorities.length,
  };
}

/** What a node says that has applied the bundle, and whose only consumer is `consumer`. */
async function tell(office: Office, node: Asker, said: Partial<Ack>): Promise<void> {
  const { version } = await published(office);
  const applied = { [bundleKey(office.domain.trustDomain)]: version };
  await node.send("ack", await node.ackRequest({ applied, ...said }));
  await quiet();
}

function uses(office: Office, authority: string): AuthorityUse {
  return { authority, svids: 1, until: office.clock.now() + hourMs };
}

function step({ host }: Office): string {
  return host.issuer.rotation.progress().step;
}

describe("rotating the authority", () => {
  test("INV-6: prepare, everybody has it, activate, nothing old is left, done; each step outlives the issuer", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    await host.issuer.rotate(operator);
    expect(await published(office)).toMatchObject({ active: first.active, roots: 2 });
    expect(step(office)).toBe("prepare");
    await host.restart();
    expect(step(office)).toBe("prepare");
    expect(host.issuer.rotation.progress().waiting).toHaveLength(1);
    await tell(office, node, { authorities: [uses(office, first.active)] });
    const second = await published(office);
    expect(second.active).not.toBe(first.active);
    expect(second.roots).toBe(2);
    expect(step(office)).toBe("reissue");
    await host.restart();
    expect(step(office)).toBe("reissue");
    expect((await published(office)).active).toBe(second.active);
    await tell(office, node, { authorities: [uses(office, second.active)] });
    expect(step(office)).toBe("done");
  });

  test("GATE-02: a consumer that refuses holds the rotation, is named, and lets it go on when it accepts", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    await host.issuer.rotate(operator);
    const { sequence } = await published(office);
    const { trustDomain } = office.domain;
    const envoy: ConsumerReport = {
      id: "sds-1-1",
      kind: "sds",
      connected: true,
      sent: { [trustDomain]: sequence },
      acknowledged: { [trustDomain]: first.sequence },
      flushedAt: 0,
      heldUntil: office.clock.now() + hourMs,
      refusal: { name: "ROOTCA", reason: "Invalid path" },
    };
    await tell(office, node, { consumers: [envoy] });
    expect(host.issuer.rotation.progress().waiting).toEqual([
      { node: node.id, consumer: "sds-1-1", reason: "refused ROOTCA: Invalid path", blocks: true },
    ]);
    expect((await published(office)).active).toBe(first.active);
    const accepted = { ...envoy, acknowledged: { [trustDomain]: sequence }, refusal: null };
    await tell(office, node, { consumers: [accepted] });
    expect((await published(office)).active).not.toBe(first.active);
  });

  test("GATE-03: a node that vanished is waited for until its SVID has ended, and no longer", async () => {
    const office = await openOffice({ nodeTtlSeconds: 3600 });
    await office.node("east");
    await office.host.issuer.rotate(operator);
    await office.clock.advance(hourMs - 10_000);
    expect(step(office)).toBe("prepare");
    await office.clock.advance(20_000);
    expect(step(office)).toBe("done");
  });

  test("TM-R-01: an older acknowledgement of the same run of a node opens nothing", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    await host.issuer.rotate(operator);
    const { version } = await published(office);
    const applied = { [bundleKey(office.domain.trustDomain)]: version };
    await node.send("ack", await node.ackRequest({ counter: 9, applied: {} }));
    await node.send("ack", await node.ackRequest({ counter: 8, applied }));
    expect(step(office)).toBe("prepare");
  });

  test("INV-6: of two orders at once one is refused", async () => {
    const office = await openOffice();
    await office.node("east");
    const orders = await Promise.allSettled([1, 2].map(() => office.host.issuer.rotate(operator)));
    expect(orders.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(orders.find((order) => order.status === "rejected")?.reason).toMatchObject({
      code: "ROTATION_RUNNING",
    });
    expect(office.host.issuer.authorities.list()).toHaveLength(2);
    expect((await published(office)).roots).toBe(2);
  });

  test("INV-6: an authority of which two thirds are over is rotated without an order", async () => {
    const office = await openOffice({ authorityLifetimeMs: 3 * hourMs });
    const first = await published(office);
    await office.clock.advance(2 * hourMs - 10_000);
    expect((await published(office)).roots).toBe(1);
    await office.clock.advance(20_000);
    const second = await published(office);
    expect(second.active).not.toBe(first.active);
    const roots = office.host.issuer.authorities.list();
    expect(roots.map(({ status }) => status)).toEqual(["old", "active"]);
    expect(parseCertificate(Buffer.from(roots[1]?.certificate ?? "", "base64")).subjectKeyId).toBe(
      second.active,
    );
  });
});
