import { describe, expect, test } from "vitest";
import { parseBundle } from "../../src/core/bundle/document.ts";
import { bundleKey } from "../../src/core/envelope/object-keys.ts";
import type { BundleState } from "../../src/core/envelope/payloads.ts";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { verifyX509Svid } from "../../src/core/svid/verify.ts";
import { createIntermediate } from "../../src/core/x509/authority.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { signerOfKey } from "../../src/core/x509/certificate-signer.ts";
import { bundleChange } from "../../src/issuer/authorities/trust-bundle.ts";
import { IssuerError } from "../../src/issuer/error.ts";
import type {
  AuthorityRequest,
  CertifiedAuthority,
  UpstreamAuthority,
  UpstreamTrust,
} from "../../src/issuer/ports.ts";
import { bundlesOf, hour, noon, type WorldAuthority } from "../support/ca-world.ts";
import { type Asker, signItem } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { quiet } from "../support/simulation-quiet.ts";
import {
  operatorsCa,
  operatorsPki,
  pathLength,
  permittedDns,
  permittedHost,
} from "../support/upstream-world.ts";
import { newEntry, type Office, openOffice, operator } from "./support/office.ts";

const minuteMs = 60_000;

/** An operator's CA that tests replace, take away, and hear. */
class TestUpstream implements UpstreamAuthority {
  ca: WorldAuthority;
  roots: readonly WorldAuthority[];
  away = false;
  /** Lends its own key instead of certifying another. */
  lends = false;
  certified = 0;
  onChange: () => void = () => undefined;

  constructor(ca: WorldAuthority, ...roots: readonly WorldAuthority[]) {
    this.ca = ca;
    this.roots = roots;
  }

  async certify(request: AuthorityRequest): Promise<CertifiedAuthority> {
    if (this.away) {
      await request.key();
      throw new IssuerError("UPSTREAM_AWAY", "the upstream is away");
    }
    this.certified += 1;
    const { certificate, key } = this.ca;
    const anchors = this.roots.map(({ der }) => der);
    if (this.lends) return { certificate: this.ca.der, above: [], anchors, key: key.privateKey };
    const signer = await request.key();
    const der = await createIntermediate(
      { ...request, signer },
      { certificate, signer: signerOfKey(key.privateKey) },
    );
    return { certificate: der, above: [this.ca.der], anchors };
  }

  trust(): Promise<UpstreamTrust> {
    const anchors = this.roots.map(({ der }) => der);
    return Promise.resolve({ issuer: this.ca.der, anchors });
  }

  watch(onChange: () => void): () => void {
    this.onChange = onChange;
    return () => undefined;
  }
}

async function officeUnder(upstream: TestUpstream): Promise<Office> {
  return await openOffice({}, { upstream });
}

async function bundleOf({ host, domain }: Office): Promise<ReturnType<typeof parseBundle>> {
  const bytes = await host.bus.node("eyes").read(bundleKey(domain.trustDomain));
  const { document } = payloadOf<BundleState>(bytes ?? new Uint8Array());
  return parseBundle(domain.trustDomain, document);
}

/** The chain of a fresh SVID, DER. */
function hexOf(bundle: ReturnType<typeof parseBundle>): readonly string[] {
  return bundle.x509Authorities.map(hex);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

async function issue(
  office: Office,
  node: Asker,
  dnsNames: readonly string[] = [],
): Promise<readonly Uint8Array[]> {
  const path = `/web-${office.host.issuer.entries.list().length}`;
  const entry = await office.host.issuer.createEntry({ ...newEntry(path), dnsNames }, operator);
  const answer = await node.send("sign-request", await node.signRequest([await signItem(entry)]));
  if (answer.kind !== "sign-reply") throw new Error(answer.kind);
  const [result] = answer.payload.results;
  if (result?.ok !== true) throw new Error(result?.code);
  return result.chain.map((one) => Buffer.from(one, "base64"));
}

/** Says that everything published is applied, and that nothing of an authority but the active one is held. */
async function settle(office: Office, node: Asker): Promise<void> {
  const bytes = await office.host.bus.node("eyes").read(bundleKey(office.domain.trustDomain));
  const { version } = payloadOf<BundleState>(bytes ?? new Uint8Array());
  const applied = { [bundleKey(office.domain.trustDomain)]: version };
  await node.send("ack", await node.ackRequest({ applied: applied as never }));
  await quiet();
}

const statuses = ({ host }: Office): readonly string[] =>
  host.issuer.authorities.list().map(({ status }) => status);

describe("under an upstream", () => {
  test("leaves carry intermediates, bundles carry roots, and one verifies by the other", async () => {
    const { root, intermediate } = operatorsPki();
    const office = await officeUnder(new TestUpstream(intermediate, root));
    const node = await office.node("east");
    const chain = await issue(office, node);
    const authority = office.host.issuer.authorities.active()?.certificate ?? "";
    expect(chain.slice(1)).toEqual([
      Buffer.from(authority, "base64"),
      Buffer.from(intermediate.der),
    ]);
    const bundle = await bundleOf(office);
    expect(hexOf(bundle)).toEqual([hex(root.der)]);
    const verified = verifyX509Svid(chain, bundlesOf(bundle), noon);
    expect(verified.authority.der).toEqual(new Uint8Array(Buffer.from(authority, "base64")));
    expect(hex(verified.anchor.der)).toBe(hex(root.der));
  });

  test("authorities of one upstream share its root: it stands in the bundle once", async () => {
    const { root, intermediate } = operatorsPki();
    const office = await officeUnder(new TestUpstream(intermediate, root));
    await office.host.issuer.ca.orders.prepare("uid 0");
    expect(office.host.issuer.authorities.trusted()).toHaveLength(2);
    expect(hexOf(await bundleOf(office))).toEqual([hex(root.der)]);
  });

  test("neither an authority nor an SVID outlives it", async () => {
    const root = operatorsCa();
    const short = operatorsCa({ parent: root, notAfter: noon + 30 * minuteMs });
    const office = await officeUnder(new TestUpstream(short, root));
    expect(office.host.issuer.authorities.active()?.notAfter).toBe(noon + 30 * minuteMs);
    const [leaf = Buffer.alloc(0)] = await issue(office, await office.node("east"));
    expect(parseCertificate(leaf).notAfter).toBe(noon + 30 * minuteMs);
  });

  test("an SVID that its name constraints forbid is refused by name, and not signed", async () => {
    const root = operatorsCa();
    const constrained = operatorsCa({ parent: root, replace: permittedDns("internal.example") });
    const office = await officeUnder(new TestUpstream(constrained, root));
    const node = await office.node("east");
    await issue(office, node, ["web.internal.example"]);
    await expect(issue(office, node, ["web.example.com"])).rejects.toThrow("LINT");
  });

  test("that forbids the trust domain nothing is ever signed, and the issuer does not start", async () => {
    const root = operatorsCa({ replace: permittedHost("other.org") });
    await expect(officeUnder(new TestUpstream(root, root))).rejects.toMatchObject({
      code: "UPSTREAM_CHAIN",
    });
  });

  test("one that lends its own key signs directly, also after a restart", async () => {
    const root = operatorsCa();
    const own = operatorsCa({ parent: root, replace: pathLength(0) });
    const upstream = new TestUpstream(own, root);
    upstream.lends = true;
    const office = await officeUnder(upstream);
    const node = await office.node("east");
    expect((await issue(office, node)).slice(1)).toEqual([Buffer.from(own.der)]);
    await office.host.restart();
    const chain = await issue(office, node);
    verifyX509Svid(chain, bundlesOf(await bundleOf(office)), noon);
    // The same key again would be a rotation that nobody could follow.
    await expect(office.host.issuer.rotate(operator)).rejects.toMatchObject({
      code: "UPSTREAM_CHAIN",
    });
  });
});

describe("a root leaves the bundle", () => {
  const root = (): string => Buffer.from(operatorsCa().der).toString("base64");
  const [first, shared, last] = [root(), root(), root()];
  type Facts = Parameters<typeof bundleChange>[0]["authorities"][number];
  const life = { certificate: first, chain: [], notAfter: noon, retiredAt: 0, mintedUntil: 0 };
  const authority = (name: string, status: Facts["status"], ...anchors: string[]): Facts => ({
    ...life,
    authority: name,
    status,
    anchors,
  });

  test("when no authority needs it any more, and not before", () => {
    const trustDomain = parseTrustDomain("example.org");
    const version = { epoch: 1n, term: 1n, seq: 1n };
    const stamp = { td: trustDomain, at: noon, key: bundleKey(trustDomain), version };
    const rootsIn = (...authorities: Facts[]): readonly string[] => {
      const state = { ref: () => undefined };
      const { content } = bundleChange({ trustDomain, state, brokerPins: [], authorities });
      const { document } = content(stamp) as BundleState;
      return parseBundle(trustDomain, document).x509Authorities.map((der) =>
        Buffer.from(der).toString("base64"),
      );
    };
    const old = authority("old", "old", first, shared);
    const active = authority("active", "active", shared, last);
    expect(rootsIn(old, active)).toEqual([first, shared, last]);
    expect(rootsIn({ ...old, status: "revoked" }, active)).toEqual([shared, last]);
  });
});

describe("an upstream that is replaced", () => {
  test("is told: a new authority is prepared below the new one, both roots are trusted, and the usual gate holds", async () => {
    const [old, next] = [operatorsPki(), operatorsPki()];
    const upstream = new TestUpstream(old.intermediate, old.root);
    const office = await officeUnder(upstream);
    const node = await office.node("east");
    await office.clock.advance(5 * minuteMs);
    expect(upstream.certified).toBe(1);
    [upstream.ca, upstream.roots] = [next.intermediate, [next.root]];
    upstream.onChange();
    await office.clock.advance(2000);
    expect(statuses(office).toSorted()).toEqual(["active", "prepared"]);
    const roots = new Set(hexOf(await bundleOf(office)));
    expect(roots).toEqual(new Set([old.root.der, next.root.der].map(hex)));
    expect((await issue(office, node))[2]).toEqual(Buffer.from(old.intermediate.der));
    await settle(office, node);
    expect((await issue(office, node))[2]).toEqual(Buffer.from(next.intermediate.der));
  });

  test("is found though nobody told it: a missed notice expired issuers elsewhere", async () => {
    const [old, next] = [operatorsPki(), operatorsPki()];
    const upstream = new TestUpstream(old.intermediate, old.root);
    const office = await officeUnder(upstream);
    [upstream.ca, upstream.roots] = [next.intermediate, [next.root]];
    await office.clock.advance(2 * minuteMs);
    expect(upstream.certified).toBe(2);
  });

  test("is found after a restart, and so is a root that came to it or left it", async () => {
    const { root, intermediate } = operatorsPki();
    const upstream = new TestUpstream(intermediate, root);
    const office = await officeUnder(upstream);
    office.host.kill();
    upstream.roots = [root, operatorsCa()];
    await office.host.start();
    await office.clock.advance(2 * minuteMs);
    expect((await bundleOf(office)).x509Authorities).toHaveLength(2);
  });

  test("by itself, where authorities were their own roots: from then on they stand below the upstream", async () => {
    const office = await openOffice();
    const { root, intermediate } = operatorsPki();
    const upstream = new TestUpstream(intermediate, root);
    office.host.kill();
    office.host.upstream = upstream;
    await office.host.start();
    await office.clock.advance(2 * minuteMs);
    expect(upstream.certified).toBe(1);
    // No node lives, so nobody had to be waited for.
    expect(office.host.issuer.authorities.active()?.chain).toHaveLength(2);
  });

  test("a rotation is made once, though the upstream tells of changes without end", async () => {
    const { root, intermediate } = operatorsPki();
    const upstream = new TestUpstream(intermediate, root);
    const office = await officeUnder(upstream);
    for (const _ of Array(50)) {
      upstream.onChange();
      await office.clock.advance(1000);
    }
    expect(upstream.certified).toBe(1);
  });
});

describe("an upstream that fails", () => {
  test("is asked again with growing pauses, alarmed, and leaves no key behind; what there is signs on", async () => {
    const [old, next] = [operatorsPki(), operatorsPki()];
    const upstream = new TestUpstream(old.intermediate, old.root);
    const office = await officeUnder(upstream);
    const node = await office.node("east");
    const keys = office.host.keys.size;
    [upstream.ca, upstream.roots, upstream.away] = [next.intermediate, [next.root], true];
    await office.clock.advance(60 * minuteMs);
    const tries = office.host.counted("herald_issuer_upstream_failures_total");
    expect(tries).toBeGreaterThan(5);
    // Once a second it would be 3,600.
    expect(tries).toBeLessThan(60);
    expect(office.host.log.alarms).toContain("upstream");
    expect(office.host.keys.size).toBe(keys);
    await issue(office, node);
    upstream.away = false;
    await office.clock.advance(10 * minuteMs);
    expect(upstream.certified).toBe(2);
  });

  test("one that ends soon is alarmed once, and not asked for one authority after the other", async () => {
    const root = operatorsCa();
    const short = operatorsCa({ parent: root, notAfter: noon + 6 * hour });
    const upstream = new TestUpstream(short, root);
    const office = await officeUnder(upstream);
    await office.clock.advance(5 * hour);
    expect(upstream.certified).toBe(1);
    expect(office.host.log.alarms.filter((alarm) => alarm === "upstream-ends")).toHaveLength(1);
  });

  test("a rotation below a short-lived upstream still waits for its nodes", async () => {
    const root = operatorsCa();
    const short = operatorsCa({ parent: root, notAfter: noon + 6 * hour });
    const office = await officeUnder(new TestUpstream(short, root));
    await office.node("east");
    await office.host.issuer.rotate(operator);
    await office.clock.advance(hour);
    expect(office.host.issuer.rotation.progress().step).toBe("prepare");
  });
});

test("an authority whose key is gone is replaced by itself", async () => {
  const office = await openOffice();
  const lost = office.host.issuer.authorities.active()?.authority ?? "";
  office.host.kill();
  office.host.keys.lose(lost);
  await office.host.start();
  await office.clock.advance(2 * minuteMs);
  const active = office.host.issuer.authorities.active()?.authority;
  expect(active).toBeDefined();
  expect(active).not.toBe(lost);
});
