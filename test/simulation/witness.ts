import { createHash } from "node:crypto";
import { parseBundle } from "../../src/core/bundle/document.ts";
import { claimOf } from "../../src/core/envelope/envelope.ts";
import type { BundleState, StateObject } from "../../src/core/envelope/payloads.ts";
import { compareVersions, formatVersion, type Version } from "../../src/core/envelope/version.ts";
import { verifyX509Svid } from "../../src/core/svid/verify.ts";
import type { X509Svid } from "../../src/core/svid/workload-view.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { payloadOf, type ShownRecord } from "../support/simulation-audit.ts";
import type { FakeEnvoy } from "./fake-envoy.ts";
import type { World } from "./world.ts";

const openingBracket = 0x5b;

/** Sees every effect as it happens, and notes each that must never be. */
export class Witness {
  /** What was seen that no run may show; empty is the only good answer. */
  readonly broken: string[] = [];
  readonly #world: World;
  readonly #contents = new Map<string, string>();
  readonly #recorded = new Set<string>();
  readonly #serials = new Set<string>();
  readonly #opened = new Set<string>();
  readonly #marks = new Map<string, Version>();
  /** Envelopes that were judged already: a node keeps the same ones again and again. */
  readonly #seen = new WeakSet<Uint8Array>();
  #sequence = 0n;

  constructor(world: World) {
    this.#world = world;
    const { issuer } = world;
    issuer.onStored = (key, bytes) => this.#stored(key, bytes);
    issuer.audit.onAppended = (record) => this.#audited(record);
    issuer.keys.onSign = (authority, tbs) => this.#signing(authority, tbs);
    for (const node of world.nodes)
      node.onSaved = (envelopes) => {
        for (const bytes of envelopes) this.#applied(node.name, bytes);
      };
  }

  /** The process begins to use an SVID: it and all its peers must be able to verify it. */
  used(svid: X509Svid): void {
    const { clock, domain, envoys } = this.#world;
    for (const envoy of envoys.filter((one) => this.#isWaitedFor(one))) {
      const bundles = new Map(
        envoy.bundle === undefined ? [] : [[domain.trustDomain, envoy.bundle]],
      );
      try {
        verifyX509Svid(svid.chain, bundles, clock.now());
      } catch {
        this.#note(`pid ${envoy.pid} cannot verify ${svid.id}, which is in use`);
      }
    }
  }

  /** One version never has two contents, and the bundle's sequence only grows. */
  #stored(key: string, bytes: Uint8Array): void {
    if (key.startsWith("group.") && key !== "group.index") return;
    const { version } = payloadOf<StateObject>(bytes);
    const { digest } = claimOf(bytes);
    const name = `${key} ${formatVersion(version)}`;
    if ((this.#contents.get(name) ?? digest) !== digest) this.#note(`${name} has two contents`);
    this.#contents.set(name, digest);
    if (!key.startsWith("bundle.")) return;
    const sequence = sequenceOf(bytes);
    // A store that is mended is written the same bundle again.
    if (sequence < this.#sequence)
      this.#note(`spiffe_sequence ${sequence} after ${this.#sequence}`);
    this.#sequence = sequence;
    this.#trusts(bytes);
  }

  /** Whatever lives, on a disk or in a process, lost or not: its root is in the bundle (INV-6). */
  #trusts(bytes: Uint8Array): void {
    const { nodes, envoys, clock, domain } = this.#world;
    const { trustDomain } = domain;
    const bundle = parseBundle(trustDomain, payloadOf<BundleState>(bytes).document);
    const now = clock.now();
    const check = (who: string, chain: readonly Uint8Array[]): void => {
      const [leaf] = chain;
      if (leaf === undefined || parseCertificate(leaf).notAfter <= now) return;
      try {
        verifyX509Svid(chain, new Map([[trustDomain, bundle]]), now);
      } catch {
        this.#note(`${who} holds a live SVID, and its root left the bundle`);
      }
    };
    for (const { name, disk } of nodes) {
      for (const svid of disk.svids.values()) check(`${name}'s cache`, svid.chain);
      if (disk.identity !== undefined) check(name, disk.identity.chain);
    }
    for (const { pid, dead, svid } of envoys)
      if (!dead && svid !== undefined) check(`pid ${pid}`, svid.chain);
  }

  #audited({ payload: { action } }: ShownRecord): void {
    const made =
      action.kind === "svids-issued"
        ? action.svids
        : action.kind === "node-enrolled" || action.kind === "node-renewed"
          ? [action]
          : [];
    for (const { serial, tbsSha256 } of made) {
      if (this.#serials.has(serial) && !this.#recorded.has(tbsSha256))
        this.#note(`serial ${serial} twice`);
      this.#serials.add(serial);
      this.#recorded.add(tbsSha256);
    }
  }

  /** No SVID without a record before it; no first SVID of an authority while somebody could not verify it. */
  #signing(authority: string, tbs: Uint8Array): void {
    if (!isCertificate(tbs)) return;
    const digest = createHash("sha256").update(tbs).digest("hex");
    if (!this.#recorded.has(digest)) this.#note(`an SVID was signed that is on no audit record`);
    if (this.#opened.has(authority)) return;
    this.#opened.add(authority);
    const { issuer, trace } = this.#world;
    const root = issuer.running?.authorities.find(authority)?.certificate;
    trace.push(`${authority} signs`);
    // The very first one signs before anybody listens.
    if (root === undefined) return;
    const der = Buffer.from(root, "base64");
    for (const envoy of this.#world.envoys.filter((one) => this.#isWaitedFor(one))) {
      const has = envoy.bundle?.x509Authorities.some((one) => der.equals(one)) ?? true;
      if (!has) this.#note(`${authority} signs, and pid ${envoy.pid} has no root of it`);
    }
  }

  #applied(node: string, bytes: Uint8Array): void {
    // Pages of the group index are kept too; the index vouches for them.
    if (bytes[0] === openingBracket || this.#seen.has(bytes)) return;
    this.#seen.add(bytes);
    const { kind, digest } = claimOf(bytes);
    const { trace, domain } = this.#world;
    if (!domain.signed(digest)) this.#note(`${node} applied a ${kind} that nobody signed`);
    const { name, version } = markOf(kind ?? "", bytes);
    const mark = `${node} ${name}`;
    const order = compareVersions(version, this.#marks.get(mark) ?? version);
    if (order < 0) this.#note(`${mark} went back to ${formatVersion(version)}`);
    if (this.#marks.has(mark) && order === 0) return;
    this.#marks.set(mark, version);
    if (kind !== "head") trace.push(`${mark} ${formatVersion(version)}`);
  }

  /** A rotation need not wait for a consumer whose node, and all that it was given, have ended. */
  #isWaitedFor(envoy: FakeEnvoy): boolean {
    const { clock, issuer } = this.#world;
    const now = clock.now();
    const { node } = envoy.node.identity;
    // Lost: it was named and passed by before another authority signed.
    const passed = issuer.running?.rotation.progress().passed ?? [];
    if (!envoy.counts(now) || passed.some((one) => one.node === node)) return false;
    const record = issuer.running?.nodes.list().find((one) => one.node === node);
    return record === undefined || record.expiresAt > now;
  }

  #note(what: string): void {
    this.broken.push(`${what} (step ${this.#world.steps})`);
  }
}

/** Of a CRL, which the same key signs, the first member is an INTEGER (RFC 5280 5.1); of a certificate it is the tagged version. */
function isCertificate(tbs: Uint8Array): boolean {
  const length = tbs[1] ?? 0;
  return tbs[length < 0x80 ? 2 : 2 + (length & 0x7f)] === 0xa0;
}

function markOf(
  kind: string,
  bytes: Uint8Array,
): { readonly name: string; readonly version: Version } {
  if (kind !== "head") {
    const { key, version } = payloadOf<StateObject>(bytes);
    return { name: key, version: numbers(version) };
  }
  const { epoch, term, n } = payloadOf<{ epoch: bigint; term: bigint; n: bigint }>(bytes);
  return { name: "head", version: numbers({ epoch, term, seq: n }) };
}

/** Unproven payloads hold them as text. */
function numbers({ epoch, term, seq }: Version): Version {
  return { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) };
}

function sequenceOf(bundle: Uint8Array): bigint {
  const { document } = payloadOf<BundleState>(bundle);
  return BigInt(/"spiffe_sequence":(\d+)/.exec(document)?.[1] ?? "0");
}
