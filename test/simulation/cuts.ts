import { revocationsKey } from "../../src/core/envelope/object-keys.ts";
import type { RevocationsState } from "../../src/core/envelope/payloads.ts";
import type { Entry } from "../../src/core/policy/entry.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import { parseSpiffeId, type SpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { parseCrl } from "../../src/core/x509/crl-reader.ts";
import { IssuerError } from "../../src/issuer/error.ts";
import type { Issuer } from "../../src/issuer/issuer.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { Asker, signItem } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import type { World } from "./world.ts";

const operator = { kind: "unix", uid: 0, pid: 1 } as const;

/** The set that is declared again and again, and the paths that it may have. */
const declaredSet = "team";
const declaredPaths: readonly string[] = ["/t1", "/t2", "/t3", "/t4"];

/** What the operator declared, revoked and banned, and was told of it: whatever was acknowledged must hold to the end. */
export class Cuts {
  /** What the declared set may be now: more than one when nobody answered. */
  #declared: readonly string[] = [""];
  /** Serials that the issuer said are revoked, and their ends. */
  readonly #revoked = new Map<string, number>();
  /** Nodes without a process of their own, by name. */
  readonly #guests = new Map<SpiffeId, Asker>();
  /** Nodes that the operator was told are banned, or taken out. */
  readonly #banned = new Set<SpiffeId>();
  #names = 0;

  /** `entry apply` of some of the paths; all of them or none. */
  async apply(issuer: Issuer, random: SeededRandom): Promise<void> {
    const paths = declaredPaths.filter(() => random.oneIn(2));
    const prune = random.oneIn(2);
    const before = this.#declared;
    const after = before.map((held) =>
      [...new Set([...(prune ? [] : split(held)), ...paths])].toSorted().join(),
    );
    this.#declared = [...new Set([...before, ...after])];
    try {
      const wanted = paths.map((path) => ({
        spiffeId: parseSpiffeId(`spiffe://example.org${path}`),
        nodes: { kind: "all" } as const,
        selectors: [parseSelector("unix:uid:1000")],
        x509TtlSeconds: 0,
        dnsNames: [],
        hint: "",
        priority: 0,
      }));
      const declaration = { set: declaredSet, wanted, prune, allowed: new Set<string>() };
      await issuer.entryOrders.apply(declaration, operator);
      this.#declared = [...new Set(after)];
    } catch (thrown) {
      if (!(thrown instanceof IssuerError)) throw thrown;
      if (thrown.code === "STORE_PENDING") this.#declared = [...new Set(after)];
      if (thrown.code === "AUDIT_UNAVAILABLE") this.#declared = before;
    }
  }

  /** `svid revoke` of an entry, a node or one serial. */
  async revoke({ issuer, trace }: World, random: SeededRandom): Promise<void> {
    const { running } = issuer;
    if (running === undefined) return;
    const page = running.svids.list({}, { limit: 50, from: "", revoked: false });
    const svid = random.pick(page.svids);
    if (svid === undefined) return;
    const target = random.pick([
      { kind: "serial", serial: svid.serial },
      { kind: "entry", name: svid.entry },
      { kind: "node", name: svid.node },
    ] as const);
    if (target === undefined) return;
    try {
      const order = { target, reason: "keyCompromise", by: operator } as const;
      const { revoked, already } = await running.svids.revoke(order);
      for (const one of [...revoked, ...already]) this.#revoked.set(one.serial, one.notAfter);
      trace.push(`revoked ${revoked.length} of ${target.kind}`);
    } catch (thrown) {
      if (!(thrown instanceof IssuerError)) throw thrown;
      trace.push(`not revoked: ${thrown.code}`);
      if (thrown.code === "STORE_PENDING")
        for (const one of running.svids.revoked()) this.#revoked.set(one.serial, one.notAfter);
    }
  }

  /** Another node enrols and has an SVID signed. */
  async invite(world: World): Promise<void> {
    const { issuer, domain, clock } = world;
    const { running } = issuer;
    if (running === undefined) return;
    this.#names += 1;
    const guest = new Asker({ domain, host: issuer, clock, name: `guest${this.#names}` });
    const token = { nodeName: guest.name, labels: {}, replaces: false };
    const { joinString } = await running.createToken(token, operator);
    this.#guests.set(guest.id, guest);
    const { kind } = await guest.enrol(joinString);
    if (kind !== "enrol-reply") return;
    await ask(guest, running.entries.list());
  }

  /** `node ban`, or `node evict`, of such a node; and it asks on. */
  async ban({ issuer, trace }: World, random: SeededRandom): Promise<void> {
    const { running } = issuer;
    const guest = random.pick([...this.#guests.values()]);
    if (running === undefined || guest === undefined) return;
    const verb = random.oneIn(2) ? "ban" : "evict";
    try {
      const order = { verb: `node ${verb}`, subject: guest.id, by: operator };
      await running.carryOut(order, async () => await running.nodes.records[verb](guest.id));
      this.#banned.add(guest.id);
    } catch (thrown) {
      if (!(thrown instanceof IssuerError)) throw thrown;
      if (thrown.code === "STORE_PENDING" || thrown.code === "NODE_NOT_FOUND")
        this.#banned.add(guest.id);
      trace.push(`${verb}: ${thrown.code}`);
    }
    if (!this.#banned.has(guest.id)) return;
    const answer = await ask(guest, running.entries.list()).catch(() => "silent");
    if (answer === "sign-reply") trace.push(`BROKEN: ${guest.name} is banned and was served`);
  }

  /** The guests leave: nobody waits for what they hold. */
  async dismiss(issuer: Issuer): Promise<void> {
    for (const { node, banned } of issuer.nodes.list())
      if (this.#guests.has(node) && !banned) {
        await issuer.nodes.records.ban(node);
        this.#banned.add(node);
      }
  }

  /** What the operator was told and is not so, now that all is well. */
  async lies(world: World): Promise<readonly string[]> {
    const { issuer, clock, trace } = world;
    const { svids, entries } = issuer.issuer;
    const broken = trace.filter((line) => line.startsWith("BROKEN"));
    const declared = entries.list().filter(({ set }) => set === declaredSet);
    const held = declared.map(pathOf).toSorted().join();
    if (!this.#declared.includes(held))
      broken.push(`set is [${held}], was [${this.#declared.join("] or [")}]`);
    const listed = new Set(svids.revoked().map(({ serial }) => serial));
    for (const [serial, end] of this.#revoked)
      if (end > clock.now() && !listed.has(serial)) broken.push(`${serial} is revoked no more`);
    for (const node of this.#banned)
      for (const { serial } of svids.list({ node }, { limit: 99, from: "", revoked: false }).svids)
        if (!listed.has(serial)) broken.push(`${node} is banned, and holds ${serial}`);
    return [...broken, ...(await uncovered(world, listed))];
  }
}

/** Every trusted authority has a CRL where nodes read it, and what is revoked and alive stands on it. */
async function uncovered(
  { issuer, bus, domain, clock }: World,
  listed: ReadonlySet<string>,
): Promise<readonly string[]> {
  if (listed.size === 0) return [];
  const bytes = await bus.node("observer").read(revocationsKey(domain.trustDomain));
  const { crls } = payloadOf<RevocationsState>(bytes ?? new Uint8Array());
  const read = crls.map((crl) => parseCrl(Buffer.from(crl, "base64")));
  const now = clock.now();
  return issuer.issuer.authorities.trusted().flatMap(({ authority, certificate }) => {
    const { subjectKeyId } = parseCertificate(Buffer.from(certificate, "base64"));
    const crl = read.find((one) => one.authorityKeyId === subjectKeyId);
    if (crl === undefined) return [`${authority} has no CRL`];
    const on = new Set(crl.revoked.map(({ serial }) => serial));
    return issuer.issuer.svids
      .revoked()
      .filter((one) => one.authority === authority && one.notAfter > now && !on.has(one.serial))
      .map(({ serial }) => `${serial} stands on no CRL`);
  });
}

async function ask(guest: Asker, entries: readonly Entry[]): Promise<string> {
  const entry = entries.find(({ nodes }) => nodes.kind === "all");
  if (entry === undefined) return "nothing to ask for";
  const items = [await signItem(entry)];
  return (await guest.send("sign-request", await guest.signRequest(items))).kind;
}

function pathOf({ spiffeId }: Entry): string {
  return spiffeId.slice("spiffe://example.org".length);
}

function split(joined: string): readonly string[] {
  return joined === "" ? [] : joined.split(",");
}
