import { type Opened, openEnvelope } from "../core/envelope/envelope.ts";
import type { Kind } from "../core/envelope/kinds.ts";
import {
  bundleKey,
  controlKey,
  groupIndexKey,
  manifestKey,
  revocationsKey,
} from "../core/envelope/object-keys.ts";
import type { Head, HeadRef, ObjectRef } from "../core/envelope/payloads.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import {
  compareVersions,
  formatVersion,
  type Version,
  zeroVersion,
} from "../core/envelope/version.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import { reasonOf } from "../kit/errors.ts";

/** The kinds of state that a node reads. */
export type NodeStateKind = Extract<
  Kind,
  "epoch" | "bundle" | "revocations" | "group-index" | "manifest"
>;

/** An object of state whose signature held. */
export type NodeObject = { [K in NodeStateKind]: Opened<K> }[NodeStateKind];

/** What was wrong with what the broker delivered. None of it changes anything but a counter, a log line and the health page. */
type AlarmCode =
  | "forged"
  | "equivocation"
  | "rollback"
  | "foreign"
  | "old-term"
  | "other-epoch"
  | "future";

/** What a delivery led to. */
export type Outcome =
  | { readonly kind: "applied"; readonly key: string }
  | { readonly kind: "head"; readonly ref: HeadRef }
  /** The head, or another object, names a newer version of this key than is held: read it. */
  | { readonly kind: "fetch"; readonly key: string }
  | {
      readonly kind: "alarm";
      readonly code: AlarmCode;
      readonly key: string;
      readonly reason: string;
    };

/** A head may be this far ahead of the node's clock; one that is further would set a mark that honest heads do not reach for as long (TM-X-04). */
const mostAheadMs = 600_000;

/**
 * One node's knowledge of the signed state, and the rule by which it grows: whatever order, repetition or forgery the broker delivers, the same
 * objects lead to the same view (invariants 2 and 3). No clock, no network: deliveries go in, outcomes come out.
 */
export class NodeView {
  readonly #trust: ControlTrust;
  readonly #kinds: ReadonlyMap<string, NodeStateKind>;
  readonly #held = new Map<string, NodeObject>();
  /** Bundles that wait for the revocations they go with. */
  #waiting: readonly Opened<"bundle">[] = [];
  /** The newest of each key, and the newest head, that came before the root's statement of their epoch. */
  readonly #early = new Map<string, NodeObject>();
  #earlyHead: Opened<"head"> | undefined;
  #head: Opened<"head"> | undefined;

  constructor(options: { readonly trust: ControlTrust; readonly node: SpiffeId }) {
    this.#trust = options.trust;
    const { trustDomain } = options.trust;
    this.#kinds = new Map<string, NodeStateKind>([
      [controlKey, "epoch"],
      [revocationsKey(trustDomain), "revocations"],
      [bundleKey(trustDomain), "bundle"],
      [groupIndexKey, "group-index"],
      [manifestKey(options.node), "manifest"],
    ]);
  }

  /** Every key this node reads, in the order in which it should: what others refer to comes first. */
  get keys(): readonly string[] {
    return [...this.#kinds.keys()];
  }

  get head(): Head | undefined {
    return this.#head?.payload;
  }

  /** The newest head seen, as requests tell it. */
  get highest(): HeadRef | null {
    const head = this.head;
    return head === undefined ? null : { epoch: head.epoch, term: head.term, n: head.n };
  }

  get<K extends NodeStateKind>(kind: K): Opened<K> | undefined {
    for (const object of this.#held.values())
      if (object.kind === kind) return object as unknown as Opened<K>;
    return undefined;
  }

  /** The version held of each key. */
  versions(): Readonly<Record<string, Version>> {
    return Object.fromEntries(
      [...this.#held].map(([key, object]) => [key, object.payload.version]),
    );
  }

  /** Everything held, as envelopes: what the node keeps on its disk. */
  envelopes(): readonly Uint8Array[] {
    const objects = [...this.#held.values()].map((object) => object.bytes);
    return this.#head === undefined ? objects : [...objects, this.#head.bytes];
  }

  /** Takes any envelope of state: off the broadcast, by a read, out of a reply or the cache. `now` dates the signer's certificate. */
  offer(bytes: Uint8Array, now: number, expectedKey?: string): readonly Outcome[] {
    let object: NodeObject;
    try {
      object = openEnvelope<NodeStateKind>(
        bytes,
        [...new Set(this.#kinds.values())],
        this.#trust.at(now),
      ) as unknown as NodeObject;
    } catch (refused) {
      return [{ kind: "alarm", code: "forged", key: expectedKey ?? "", reason: reasonOf(refused) }];
    }
    const { key, td } = object.payload;
    if (
      td !== this.#trust.trustDomain ||
      this.#kinds.get(key) !== object.kind ||
      (expectedKey !== undefined && expectedKey !== key)
    ) {
      return [
        {
          kind: "alarm",
          code: "foreign",
          key,
          reason: `a ${object.kind} of ${td} under ${expectedKey ?? key}`,
        },
      ];
    }
    return this.#judge(object);
  }

  /** Takes a head. */
  offerHead(bytes: Uint8Array, now: number): readonly Outcome[] {
    let head: Opened<"head">;
    try {
      head = openEnvelope(bytes, ["head"], this.#trust.at(now));
    } catch (refused) {
      return [{ kind: "alarm", code: "forged", key: "head", reason: reasonOf(refused) }];
    }
    if (head.payload.td !== this.#trust.trustDomain)
      return [
        { kind: "alarm", code: "foreign", key: "head", reason: `a head of ${head.payload.td}` },
      ];
    const aheadMs = head.payload.at - now;
    if (aheadMs > mostAheadMs)
      return [
        {
          kind: "alarm",
          code: "future",
          key: "head",
          reason: `it is ${Math.round(aheadMs / 1000)} s ahead of this machine's clock; check NTP here, then at the issuer`,
        },
      ];
    return this.#judgeHead(head);
  }

  #judgeHead(head: Opened<"head">): readonly Outcome[] {
    const { payload } = head;
    const tooEarly = this.#otherEpoch("head", payload.epoch);
    if (tooEarly !== undefined) {
      if (this.#earlyHead === undefined || compareHeads(payload, this.#earlyHead.payload) > 0)
        this.#earlyHead = head;
      return tooEarly;
    }
    const order = this.#head === undefined ? 1 : compareHeads(payload, this.#head.payload);
    if (order === 0 && head.digest !== this.#head?.digest) {
      return [
        {
          kind: "alarm",
          code: "equivocation",
          key: "head",
          reason: `two heads ${payload.term}/${payload.n}`,
        },
      ];
    }
    if (order <= 0) return [];
    this.#head = head;
    const behind = Object.entries(payload.objects).filter(
      ([key, named]) => this.#kinds.has(key) && this.#isBehind(key, named),
    );
    const { epoch, term, n } = payload;
    return [
      { kind: "head", ref: { epoch, term, n } },
      ...behind.map(([key]): Outcome => ({ kind: "fetch", key })),
    ];
  }

  #judge(object: NodeObject): readonly Outcome[] {
    const { key, version } = object.payload;
    const known = this.#againstHeld(object);
    if (known !== undefined) return known;
    const tooEarly = object.kind === "epoch" ? undefined : this.#otherEpoch(key, version.epoch);
    if (tooEarly === undefined) return this.#againstHead(object) ?? this.#apply(object);
    const early = this.#early.get(key)?.payload.version ?? zeroVersion;
    if (compareVersions(version, early) > 0) this.#early.set(key, object);
    return tooEarly;
  }

  /** Nothing is taken below, or beside, the version that is held; undefined for a higher one. */
  #againstHeld(object: NodeObject): readonly Outcome[] | undefined {
    const { key, version } = object.payload;
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    const order = compareVersions(version, held.payload.version);
    if (order > 0) return undefined;
    if (order === 0 && held.digest === object.digest) return [];
    const [written, mark] = [formatVersion(version), formatVersion(held.payload.version)];
    return order === 0
      ? [{ kind: "alarm", code: "equivocation", key, reason: `${written} has two contents` }]
      : [{ kind: "alarm", code: "rollback", key, reason: `${written} after ${mark}` }];
  }

  /**
   * The root decides epochs: a control key that claims a later one than the root's statement could fix every mark for ever (ADR 3). What
   * comes before its epoch's statement waits for it.
   */
  #otherEpoch(key: string, epoch: bigint): readonly Outcome[] | undefined {
    const stated = this.#held.get(controlKey)?.payload.version.epoch;
    if (stated === undefined || epoch <= stated) return undefined;
    const reason = `epoch ${epoch}; the root's newest statement says ${stated}`;
    return [
      { kind: "alarm", code: "other-epoch", key, reason },
      { kind: "fetch", key: controlKey },
    ];
  }

  /** Nothing is taken that the newest head makes old: neither a version below the one it names, nor the work of a leader before its term. */
  #againstHead(object: NodeObject): readonly Outcome[] | undefined {
    const head = this.head;
    if (head === undefined) return undefined;
    const { key, version } = object.payload;
    const named = head.objects[key];
    if (named !== undefined && compareVersions(version, named.version) < 0) {
      return [
        {
          kind: "alarm",
          code: "rollback",
          key,
          reason: `${formatVersion(version)}; the head names ${formatVersion(named.version)}`,
        },
      ];
    }
    const isNamed =
      named !== undefined &&
      compareVersions(version, named.version) === 0 &&
      named.digest === object.digest;
    // The root outranks terms: its statements carry term 0.
    const isOldTerm =
      object.kind !== "epoch" &&
      (version.epoch < head.epoch || (version.epoch === head.epoch && version.term < head.term));
    if (isOldTerm && !isNamed)
      return [
        {
          kind: "alarm",
          code: "old-term",
          key,
          reason: `term ${version.term}; the head's is ${head.term}`,
        },
      ];
    return undefined;
  }

  #apply(object: NodeObject): readonly Outcome[] {
    const { key } = object.payload;
    if (object.kind === "bundle") {
      const needed = revocationsKey(this.#trust.trustDomain);
      const revocations = this.#held.get(needed)?.payload.version ?? zeroVersion;
      if (compareVersions(revocations, object.payload.revocations) < 0) {
        this.#waiting = [...this.#waiting.filter((one) => one.digest !== object.digest), object];
        return [{ kind: "fetch", key: needed }];
      }
    }
    this.#held.set(key, object);
    if (object.kind === "epoch") this.#trust.revoke(object.payload.revokedKeys);
    return [
      { kind: "applied", key },
      ...(object.kind === "epoch" ? this.#judgeEarly() : []),
      ...(object.kind === "revocations" ? this.#judgeWaiting() : []),
    ];
  }

  /** What came before its epoch. One that was put there to push out another changes nothing: all is read again. */
  #judgeEarly(): readonly Outcome[] {
    const [head, objects] = [this.#earlyHead, [...this.#early.values()]];
    if (head === undefined && objects.length === 0) return [];
    this.#earlyHead = undefined;
    this.#early.clear();
    return [
      ...(head === undefined || this.#isRevoked(head) ? [] : this.#judgeHead(head)),
      ...objects.flatMap((object) => (this.#isRevoked(object) ? [] : this.#judge(object))),
      ...this.keys
        .filter((key) => key !== controlKey)
        .map((key): Outcome => ({ kind: "fetch", key })),
    ];
  }

  /** All that wait, oldest first: the newest of them may need revocations that are newer still, and must not keep back those before it. */
  #judgeWaiting(): readonly Outcome[] {
    const waiting = this.#waiting.toSorted((a, b) =>
      compareVersions(a.payload.version, b.payload.version),
    );
    this.#waiting = [];
    return waiting.flatMap((object) => {
      const held = this.#held.get(object.payload.key)?.payload.version ?? zeroVersion;
      const isLate = compareVersions(object.payload.version, held) < 0;
      return isLate || this.#isRevoked(object) ? [] : this.#judge(object);
    });
  }

  /** What waited was proven when it came, and its key may have been revoked since. */
  #isRevoked({ keyId }: Opened<NodeStateKind> | Opened<"head">): boolean {
    return this.get("epoch")?.payload.revokedKeys.includes(keyId) === true;
  }

  #isBehind(key: string, named: ObjectRef): boolean {
    const held = this.#held.get(key);
    return held === undefined || compareVersions(held.payload.version, named.version) < 0;
  }
}

function compareHeads(a: HeadRef, b: HeadRef): number {
  const order = (x: bigint, y: bigint): number => (x < y ? -1 : x > y ? 1 : 0);
  return order(a.epoch, b.epoch) || order(a.term, b.term) || order(a.n, b.n);
}
