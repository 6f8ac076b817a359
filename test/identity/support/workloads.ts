import { generateKeyPairSync } from "node:crypto";
import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import type { AuthorityUse, SignItem, SignResult } from "../../../src/core/envelope/payloads.ts";
import type { Entry } from "../../../src/core/policy/entry.ts";
import { parseSelector, type Selector } from "../../../src/core/spiffe/selector.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import type { WorkloadView } from "../../../src/core/svid/workload-view.ts";
import { readCsr } from "../../../src/core/x509/csr.ts";
import type { CachedSvid, SvidCache } from "../../../src/identity/ports.ts";
import { authorityUses } from "../../../src/identity/svids-in-use.ts";
import { WorkloadIdentities } from "../../../src/identity/workload-identities.ts";
import type { WorkloadState } from "../../../src/identity/workload-state.ts";
import { entry as sample } from "../../core/envelope/support/samples.ts";
import {
  makeAuthority,
  makeBundle,
  makeKey,
  makeLeaf,
  noon,
  type SvidBend,
  type WorldAuthority,
} from "../../support/ca-world.ts";
import { HeldClock } from "../../support/held-clock.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { CountedMetrics } from "./followed.ts";
import { RecordedLog } from "./recorded-log.ts";

export const hour = 3_600_000;
const uid = (id: string): Selector => parseSelector(`unix:user:${id}`);

/** An entry of example.org, for the user of its name. */
export function entryOf(id: string, bend: Partial<Entry> = {}): Entry {
  return {
    ...sample,
    id,
    revision: 1n,
    spiffeId: parseSpiffeId(`spiffe://example.org/${id}`),
    selectors: [uid(id)],
    hint: "",
    priority: 0,
    name: "",
    createdAt: 0,
    ...bend,
  };
}

/** A cache in memory that says what was done to it. */
export class TestCache implements SvidCache {
  readonly kept: Map<string, CachedSvid> = new Map();
  readonly trace: string[];
  fails = false;

  constructor(trace: string[]) {
    this.trace = trace;
  }

  async load(): Promise<readonly CachedSvid[]> {
    return await Promise.resolve([...this.kept.values()]);
  }

  async save(svids: readonly CachedSvid[]): Promise<void> {
    await Promise.resolve();
    if (this.fails) throw new RangeError("the disk is full");
    for (const svid of svids) this.kept.set(svid.entry, svid);
    this.trace.push(`saved ${svids.map((svid) => svid.entry).join(",")}`);
  }

  async remove(entries: readonly string[]): Promise<void> {
    await Promise.resolve();
    for (const id of entries) this.kept.delete(id);
    this.trace.push(`removed ${entries.join(",")}`);
  }
}

/** One node's workload identities, with the issuer, the disk and time in the test's hands. */
export class Workloads {
  readonly clock: HeldClock;
  readonly authority: WorldAuthority;
  /** Always the same value, as the node's service gives it. */
  readonly bundle: Bundle;
  readonly cache: TestCache;
  readonly identities: WorkloadIdentities;
  readonly log: RecordedLog = new RecordedLog();
  readonly metrics: CountedMetrics = new CountedMetrics();
  /** What happened, in order: `saved web`, `told web web-2`, `changed`. */
  readonly trace: string[] = [];
  /** What was asked for in each request, and when. */
  readonly requests: { readonly at: number; readonly entries: readonly string[] }[] = [];
  /** The issuer: answers one item. */
  answer: (item: SignItem) => SignResult = (item) => this.issued(item);
  /** What each request waits for before it is answered. */
  beforeAnswer: () => Promise<void> = () => Promise.resolve();

  constructor(
    world: {
      readonly clock?: HeldClock;
      readonly authority?: WorldAuthority;
      readonly kept?: Iterable<CachedSvid>;
    } = {},
  ) {
    this.clock = world.clock ?? new HeldClock(noon);
    this.authority = world.authority ?? makeAuthority({ notAfter: noon + 1000 * hour });
    this.bundle = makeBundle("example.org", [this.authority]);
    this.cache = new TestCache(this.trace);
    for (const svid of world.kept ?? []) this.cache.kept.set(svid.entry, svid);
    this.identities = new WorkloadIdentities({
      trustDomain: parseTrustDomain("example.org"),
      sign: async (items) => {
        this.requests.push({ at: this.clock.now(), entries: items.map((item) => item.entry) });
        await this.beforeAnswer();
        return items.map((item) => this.answer(item));
      },
      cache: this.cache,
      keys: {
        p256: () => {
          const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
          const spki = new Uint8Array(pair.publicKey.export({ type: "spki", format: "der" }));
          return Promise.resolve({ privateKey: pair.privateKey, spki });
        },
      },
      clock: this.clock,
      random: new SeededRandom(1),
      log: this.log,
      metrics: this.metrics,
      onChange: () => this.trace.push("changed"),
    });
  }

  /** An SVID for an item, of an hour from now; bent as told. */
  issued(item: SignItem, bend: SvidBend & { readonly by?: WorldAuthority } = {}): SignResult {
    const { spki } = readCsr(Buffer.from(item.csr, "base64"));
    const { by = this.authority, ...rest } = bend;
    const leaf = makeLeaf(by, {
      key: { ...makeKey(), spki },
      id: `spiffe://example.org/${item.entry}`,
      notBefore: this.clock.now(),
      notAfter: this.clock.now() + hour,
      ...rest,
    });
    return { ok: true, entry: item.entry, chain: [Buffer.from(leaf).toString("base64")] };
  }

  /** What an acknowledgement would tell of them. */
  uses(): readonly AuthorityUse[] {
    return authorityUses(this.identities.svids(), this.clock.now());
  }

  refused(item: SignItem): SignResult {
    return { ok: false, entry: item.entry, code: "ENTRY_UNKNOWN", reason: "no such entry" };
  }

  state(entries: readonly Entry[], bend: Partial<WorkloadState> = {}): WorkloadState {
    return {
      entries,
      node: { id: parseSpiffeId("spiffe://example.org/herald/node/join_token/n"), labels: {} },
      bundle: this.bundle,
      crls: undefined,
      activeAuthority: this.authority.certificate.subjectKeyId ?? "",
      taintedAuthorities: [],
      synced: true,
      ...bend,
    };
  }

  /** Tells the state and waits for what it sets going. */
  async update(entries: readonly Entry[], bend: Partial<WorkloadState> = {}): Promise<void> {
    this.identities.update(this.state(entries, bend));
    await this.clock.advance(0);
  }

  /** Watches as the users of these names; what is told goes to the trace. */
  watch(...users: readonly string[]): { current(): WorkloadView; close(): void } {
    return this.identities.watch(users.map(uid), (view) => {
      this.trace.push(`told ${idsOf(view).join(" ")}`.trim());
    });
  }
}

export function idsOf(view: WorkloadView): readonly string[] {
  return view.svids.map((svid) => svid.id.replace("spiffe://example.org/", ""));
}
