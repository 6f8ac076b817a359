import {
  type EnvelopeSigner,
  type KeyFinder,
  type Opened,
  openEnvelope,
  sealEnvelope,
} from "../../core/envelope/envelope.ts";
import type { Payloads } from "../../core/envelope/kinds.ts";
import { merkleRoot } from "../../core/envelope/merkle.ts";
import { groupIndexKey, isGroupPageKey } from "../../core/envelope/object-keys.ts";
import type { ObjectRef } from "../../core/envelope/payloads.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import {
  compareVersions,
  formatVersion,
  seqGapOfNewTerm,
  type Version,
} from "../../core/envelope/version.ts";
import type { Clock } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Metrics } from "../../kit/metrics.ts";
import { IssuerError } from "../error.ts";
import type { Journal, StateStore } from "../ports.ts";
import { type Change, type Page, type Stamp, type StateKind, stateKinds } from "./change.ts";
import { StoreWrites } from "./store-writes.ts";

type AnyOpened = { [K in StateKind]: Opened<K> }[StateKind];

/** What the state leans on. */
export interface SignedStateOptions {
  readonly trust: ControlTrust;
  readonly signer: EnvelopeSigner;
  readonly journal: Journal;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What the group index names by content, as of now: stored before the index is. */
  readonly pages: () => readonly Page[];
  /** What has to be written before these changes, such as the CRL of an authority that a bundle begins to trust. */
  readonly before: (changes: readonly Change[]) => readonly Change[];
  /** Called with what was just written, when nodes can read it. */
  readonly onWritten: (kinds: ReadonlySet<StateKind>) => void;
}

const entryKinds: ReadonlySet<StateKind> = new Set(["entry", "entry-page", "entry-set"]);

/** An object has to fit into one message of the broker (1 MiB with headers, by default). */
const mostObjectBytes: number = 768 * 1024;

/**
 * All signed state of one issuer. Truth is its journal: an object is signed, journalled (synced), stored where nodes read it, and only
 * then seen by the rest of the issuer. A crash after the journal leaves the store behind; {@link SignedState.reconcile}, which every start runs,
 * puts it right. A store that was emptied or rewound is the same case.
 */
export class SignedState {
  readonly #options: SignedStateOptions;
  readonly #objects = new Map<string, AnyOpened>();
  readonly #writes: StoreWrites;
  #epoch = 0n;
  #term = 0n;
  #seq = 0n;
  #fenced = false;
  #entryChanges = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: SignedStateOptions) {
    this.#options = options;
    this.#writes = new StoreWrites({ ...options, envelope: (key) => this.envelope(key) });
  }

  /** Takes over what the journal and the store hold. The caller then takes a term with {@link beginTerm}. */
  async open(
    objects: readonly { readonly key: string; readonly bytes: Uint8Array }[],
  ): Promise<void> {
    for (const { key, bytes } of objects) this.#adopt(this.#verify(key, bytes));
    await this.reconcile();
  }

  get epoch(): bigint {
    return this.#epoch;
  }

  get term(): bigint {
    return this.#term;
  }

  /** True once somebody with a higher term was seen: this issuer may write and sign nothing more. */
  get fenced(): boolean {
    return this.#fenced;
  }

  /** Keys that are journalled but not yet where nodes read them. */
  get pending(): number {
    return this.#writes.pending;
  }

  /** From now on objects are signed under a new term, with seqs far above all that is known. */
  async beginTerm(options: {
    readonly epoch: bigint;
    readonly write: (stamp: Stamp) => Payloads["term"];
    readonly key: string;
  }): Promise<void> {
    const versions = [...this.#objects.values()].map((held) => held.payload.version);
    const highest = (pick: (version: Version) => bigint): bigint =>
      versions.reduce((top, version) => (pick(version) > top ? pick(version) : top), 0n);
    this.#epoch = options.epoch;
    this.#term = highest((version) => version.term) + 1n;
    this.#seq = highest((version) => version.seq) + seqGapOfNewTerm;
    await this.change(() => [{ kind: "term", key: options.key, content: options.write }]);
  }

  /** The `seq` of the next object that is signed; holds within {@link change}'s `decide`. */
  get nextSeq(): bigint {
    return this.#seq + 1n;
  }

  /** Counts the objects taken over that entries are made of: what was read of them before is what there is while this stays. */
  get entryChanges(): number {
    return this.#entryChanges;
  }

  get<K extends StateKind>(kind: K, key: string): Payloads[K] | undefined {
    const held = this.#objects.get(key);
    return held?.kind === kind ? (held.payload as Payloads[K]) : undefined;
  }

  list<K extends StateKind>(kind: K): readonly Payloads[K][] {
    const found: Payloads[K][] = [];
    for (const held of this.#objects.values())
      if (held.kind === kind) found.push(held.payload as Payloads[K]);
    return found;
  }

  /** The envelope under a key, as it is handed to nodes in replies. */
  envelope(key: string): Uint8Array | undefined {
    return this.#objects.get(key)?.bytes;
  }

  ref(key: string): ObjectRef | undefined {
    const held = this.#objects.get(key);
    return held === undefined ? undefined : { version: held.payload.version, digest: held.digest };
  }

  merkleRoot(): string {
    return merkleRoot(
      [...this.#objects].map(([key, held]) => ({
        key,
        version: held.payload.version,
        digest: held.digest,
      })),
    );
  }

  /**
   * Writes objects in one go. `decide` sees the state with no other write under way; what it returns is signed, journalled and stored in that
   * order. Resolves when nodes can read it.
   *
   * @throws IssuerError FENCED (nothing happened), STORE_PENDING (journalled and in force; nodes will read it once the bus is back).
   */
  change(decide: () => readonly Change[]): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#fenced) throw fencedError();
      const changes = decide();
      const before = this.#options.before(changes);
      const late = before.length > 0 ? await this.#writePending(before) : undefined;
      await this.#write(changes);
      if (late !== undefined) throw late;
    });
  }

  /** Gives the STORE_PENDING of what nodes cannot read yet: it is in force, and so shall be what comes after it. */
  async #writePending(changes: readonly Change[]): Promise<IssuerError | undefined> {
    try {
      await this.#write(changes);
      return undefined;
    } catch (thrown) {
      if (thrown instanceof IssuerError && thrown.code === "STORE_PENDING") return thrown;
      throw thrown;
    }
  }

  async #write(changes: readonly Change[]): Promise<void> {
    const signed: AnyOpened[] = [];
    for (const change of changes) signed.push(await this.#sign(change));
    for (const object of signed) refuseTooLarge(object);
    await this.#options.journal.append(
      signed.map((object) => ({ kind: "object", key: object.payload.key, bytes: object.bytes })),
    );
    for (const object of signed) this.#adopt(object);
    await this.#writes.write(signed.map((object) => object.payload.key));
    // Not before: a head that names what nobody can read yet makes every node ask for it in vain.
    this.#options.onWritten(new Set(signed.map((object) => object.kind)));
  }

  /** Takes over an object that the root signed, at `herald init` or when an operator brings a new one. */
  async accept(key: string, bytes: Uint8Array): Promise<void> {
    await this.#exclusively(async () => {
      const object = this.#verify(key, bytes);
      const held = this.#objects.get(key);
      if (held !== undefined && compareVersions(object.payload.version, held.payload.version) <= 0)
        return;
      await this.#options.journal.append([{ kind: "object", key, bytes }]);
      this.#adopt(object);
      await this.#writes.write([key]);
    });
  }

  /** Compares the store with the journal's truth and mends whichever is behind. Safe to run at any time. */
  reconcile(): Promise<void> {
    return this.#exclusively(() => this.#reconcile());
  }

  async #reconcile(): Promise<void> {
    const remote = await this.#options.store.loadAll();
    const adopted: AnyOpened[] = [];
    for (const [key, bytes] of remote) {
      if (isGroupPageKey(key) || sameBytes(bytes, this.envelope(key))) continue;
      const verified = this.#tryVerify(key, bytes);
      if (verified !== undefined && this.#isNews(verified)) adopted.push(verified);
    }
    await this.#options.journal.append(
      adopted.map((object) => ({ kind: "object", key: object.payload.key, bytes: object.bytes })),
    );
    for (const object of adopted) this.#adopt(object);
    const behind = [...this.#objects]
      .filter(([key, held]) => !sameBytes(remote.get(key), held.bytes))
      .map(([key]) => key);
    if (behind.length > 0 && remote.size > 0)
      this.#options.log.warn(
        { objects: behind.length },
        "rebuilding the store from the journal: it is behind",
      );
    // The index is stored again when a page of it was lost, and the page before it.
    const lacksPages = this.#writes.lacksPages(remote);
    await this.#writes.write(lacksPages ? [...new Set([...behind, groupIndexKey])] : behind);
  }

  /** Is this object of the store newer than ours? A newer term than our own means that another issuer leads. */
  #isNews(object: AnyOpened): boolean {
    const { key, version } = object.payload;
    const held = this.#objects.get(key);
    const order = held === undefined ? 1 : compareVersions(version, held.payload.version);
    if (order === 0 && held?.digest !== object.digest)
      this.#alarm("equivocation", key, "one version with two contents");
    if (order > 0 && this.#term > 0n && version.term > this.#term) {
      this.#fenced = true;
      this.#alarm("fenced", key, `another issuer leads with term ${version.term}`);
    }
    return order > 0;
  }

  async #sign(change: Change): Promise<AnyOpened> {
    this.#seq += 1n;
    const stamp: Stamp = {
      td: this.#options.trust.trustDomain,
      at: this.#options.clock.now(),
      key: change.key,
      version: { epoch: this.#epoch, term: this.#term, seq: this.#seq },
    };
    const payload = await change.content(stamp);
    const { bytes, digest } = await sealEnvelope(change.kind, payload, this.#options.signer);
    return {
      kind: change.kind,
      payload,
      digest,
      keyId: this.#options.signer.keyId,
      bytes,
    } as AnyOpened;
  }

  #verify(
    key: string,
    bytes: Uint8Array,
    keys: KeyFinder = this.#options.trust.atAnyTime(),
  ): AnyOpened {
    const opened = openEnvelope(bytes, stateKinds, keys) as AnyOpened;
    if (opened.payload.key !== key || opened.payload.td !== this.#options.trust.trustDomain) {
      throw new IssuerError(
        "STATE_CORRUPT",
        `object under ${key} says that it is ${opened.payload.key} of ${opened.payload.td}`,
      );
    }
    return opened;
  }

  #tryVerify(key: string, bytes: Uint8Array): AnyOpened | undefined {
    try {
      return this.#verify(key, bytes);
    } catch (refused) {
      this.#alarm("unsigned", key, reasonOf(refused));
      return undefined;
    }
  }

  #adopt(object: AnyOpened): void {
    this.#objects.set(object.payload.key, object);
    if (entryKinds.has(object.kind)) this.#entryChanges += 1;
    if (object.kind === "epoch") this.#options.trust.revoke(object.payload.revokedKeys);
  }

  #alarm(kind: string, key: string, reason: string): void {
    this.#options.metrics.increment("herald_issuer_store_alarms_total", { kind });
    this.#options.log.error(
      {
        alarm: kind,
        key,
        reason,
        version: this.#objects.has(key) ? formatVersion(this.#versionOf(key)) : "none",
      },
      "the broker's store is not what this issuer wrote",
    );
  }

  #versionOf(key: string): Version {
    return this.#objects.get(key)?.payload.version ?? { epoch: 0n, term: 0n, seq: 0n };
  }

  #exclusively<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run, run);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

/** The error of an issuer that has lost the lead. */
export function fencedError(): IssuerError {
  return new IssuerError(
    "FENCED",
    "another issuer has taken the lead with a higher term; restart this one to take it back",
  );
}

function refuseTooLarge(object: AnyOpened): void {
  if (object.bytes.byteLength <= mostObjectBytes) return;
  throw new IssuerError(
    "OBJECT_TOO_LARGE",
    `${object.payload.key} would have ${object.bytes.byteLength} bytes, ${mostObjectBytes} fit; select nodes by label instead of naming them, or use fewer selectors`,
  );
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}
