import type { EnvelopeSigner, Opened } from "../core/envelope/envelope.ts";
import { claimOf, verifyingKey } from "../core/envelope/envelope.ts";
import { EnvelopeError } from "../core/envelope/error.ts";
import {
  bundleKey,
  controlKey,
  groupIndexKey,
  manifestKey,
  revocationsKey,
  termKey,
  token26,
} from "../core/envelope/object-keys.ts";
import { sha256Hex } from "../core/envelope/pae.ts";
import type { BusAccess, IssuedSvid, NodeRecordState } from "../core/envelope/payloads.ts";
import { type ControlTrust, onlyKey } from "../core/envelope/trust.ts";
import type { Entry } from "../core/policy/entry.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { Clock, Timer } from "../kit/clock.ts";
import { HeraldError, reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { Random } from "../kit/random.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { Announcer } from "./announcer.ts";
import { Answers } from "./answers.ts";
import { AuditChain } from "./audit-chain.ts";
import { Authorities } from "./authorities.ts";
import { Entries, type NewEntry } from "./entries.ts";
import { Heads } from "./heads.ts";
import { newId } from "./identifiers.ts";
import { Nodes } from "./nodes.ts";
import type {
  AuditStream,
  AuthorityKeys,
  EventStream,
  HeadBroadcast,
  Journal,
  JournalRecord,
  StateStore,
} from "./ports.ts";
import {
  type Admitted,
  admit,
  type NodeRequestKind,
  Refusal,
  recordKey,
  reply,
} from "./requests.ts";
import { Rotation, type RotationProgress } from "./rotation.ts";
import { fencedError, SignedState } from "./signed-state.ts";
import { isAhead, Signing } from "./signing.ts";
import { bundleChange, revocationsChange } from "./trust-bundle.ts";

/** What an operator may set; every member has a default in the configuration file. */
export interface IssuerSettings {
  /** Default 15,000. */
  readonly headIntervalMs: number;
  /** Default 86,400 (one day). */
  readonly nodeTtlSeconds: number;
  /** Default 3,600. */
  readonly defaultTtlSeconds: number;
  /** Default 86,400. */
  readonly maxTtlSeconds: number;
  /** Default 30 days. */
  readonly authorityLifetimeMs: number;
}

export interface IssuerOptions {
  readonly trustDomain: TrustDomain;
  readonly issuer: SpiffeId;
  readonly trust: ControlTrust;
  readonly signer: EnvelopeSigner;
  /** The root's epoch statement, an envelope of kind `epoch`. */
  readonly epoch: { readonly bytes: Uint8Array; readonly number: bigint };
  readonly bus: BusAccess;
  readonly busSeed: Uint8Array;
  readonly settings: IssuerSettings;
  readonly journal: Journal;
  readonly store: StateStore;
  readonly broadcast: HeadBroadcast;
  readonly auditStream: AuditStream;
  readonly eventStream: EventStream;
  readonly keys: AuthorityKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Who gave an administrative order: a peer of the admin socket, known from the kernel. */
export interface Operator {
  readonly uid: number;
  readonly pid: number;
}

/** How often gates that open with time, and a store that was away, are looked at. */
const tickMs = 1000;

const requestKinds: Readonly<Record<string, NodeRequestKind>> = {
  sign: "sign-request",
  renew: "renew-request",
  state: "state-request",
  ack: "ack",
};

/** One issuer: state, entries, nodes, authorities and their rotation, behind the bus, the enrolment endpoint and the admin API. */
export class Issuer {
  readonly entries: Entries;
  readonly nodes: Nodes;
  readonly authorities: Authorities;
  readonly rotation: Rotation;
  readonly acknowledgements: Acknowledgements;
  readonly #options: IssuerOptions;
  readonly #state: SignedState;
  readonly #audit: AuditChain;
  readonly #heads: Heads;
  readonly #signing: Signing;
  readonly #announcer: Announcer;
  readonly #answers: Answers;
  readonly #announced = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #tick: Timer | undefined;
  #stopped = false;

  private constructor(options: IssuerOptions) {
    this.#options = options;
    const { trustDomain, trust, signer, journal, clock, random, log, settings } = options;
    const audit = {
      issuer: options.issuer,
      name: token26(options.issuer),
      trust,
      signer,
      journal,
      clock,
    };
    this.#state = new SignedState({
      ...options,
      onWritten: (kinds) => this.#onWritten(kinds.has("bundle")),
    });
    this.#audit = new AuditChain({ ...audit, stream: options.auditStream });
    this.#heads = new Heads({
      ...options,
      state: this.#state,
      intervalMs: settings.headIntervalMs,
      ackSpreadMs: 0,
    });
    this.#announcer = new Announcer({ ...options, stream: options.eventStream });
    this.#answers = new Answers(clock);
    this.acknowledgements = new Acknowledgements(journal);
    this.entries = new Entries({ trustDomain, state: this.#state, clock, random, ...settings });
    this.authorities = new Authorities({
      trustDomain,
      state: this.#state,
      keys: options.keys,
      clock,
      random,
      lifetimeMs: settings.authorityLifetimeMs,
    });
    const parts = {
      trustDomain,
      state: this.#state,
      authorities: this.authorities,
      audit: this.#audit,
      entries: this.entries,
      clock,
      random,
      log,
    };
    this.nodes = new Nodes({
      ...parts,
      pin: trust.pin,
      ttlSeconds: settings.nodeTtlSeconds,
      busSeed: options.busSeed,
    });
    this.rotation = new Rotation({
      ...parts,
      acknowledgements: this.acknowledgements,
      brokerPins: options.bus.brokerPins,
    });
    this.#signing = new Signing({
      ...parts,
      signer,
      onIssued: (node, svids) => this.#announceIssued(node, svids),
    });
  }

  /** Opens the journal, mends the store, takes a term, signs what nodes read anew, and sends the first head. */
  static async start(options: IssuerOptions): Promise<Issuer> {
    const issuer = new Issuer(options);
    await issuer.#open(await options.journal.load());
    return issuer;
  }

  async #open(records: readonly JournalRecord[]): Promise<void> {
    const { epoch, issuer, random, trustDomain, bus } = this.#options;
    await this.#state.open(records.filter((record) => record.kind === "object"));
    this.#audit.resume(records.find((record) => record.kind === "audit")?.bytes);
    await this.#state.accept(controlKey, epoch.bytes);
    await this.#state.beginTerm({
      epoch: epoch.number,
      key: termKey,
      write: (stamp) => ({ ...stamp, issuer, boot: newId(random) }),
    });
    for (const record of records) if (record.kind === "ack") this.#resumeAck(record);
    await this.#state.change(() => [revocationsChange(trustDomain)]);
    if (this.authorities.active() === undefined) await this.rotation.begin();
    await this.#state.change(() => [
      bundleChange({
        trustDomain,
        state: this.#state,
        brokerPins: bus.brokerPins,
        authorities: this.authorities.trusted(),
      }),
    ]);
    await this.entries.refreshViews();
    await this.#heads.announce();
    this.#scheduleTick();
  }

  /** Answers a node's request off the bus; `node` is the token in its subject. Rejects where silence is the right answer: to bytes nobody proved. */
  async handle(request: {
    readonly kind: string;
    readonly node: string;
    readonly bytes: Uint8Array;
  }): Promise<Uint8Array> {
    const kind = requestKinds[request.kind];
    if (kind === undefined) throw new Refusal("NODE_UNKNOWN", `unknown request ${request.kind}`);
    return await this.#answer(request.bytes, request.node, async () => {
      switch (kind) {
        case "sign-request":
          return await this.#sign(await this.#admit(kind, request));
        case "renew-request":
          return await this.#renew(await this.#admit(kind, request));
        case "state-request":
          return await this.#tellState(await this.#admit(kind, request));
        case "ack":
          return await this.#keepAck(await this.#admit(kind, request));
      }
    });
  }

  /** Answers `POST /v1/enrol`. */
  async enrol(bytes: Uint8Array): Promise<Uint8Array> {
    return await this.#answer(bytes, "", async () => {
      const { enrolled, request } = await this.nodes.enrol(bytes);
      const { node, chain, sealedBusSeed } = enrolled;
      this.#announcer.announce("node.joined", node, { attestor: "join_token" });
      const state = this.#stateOf(node);
      return await reply(
        "enrol-reply",
        { ...this.#stamp(request), node, chain, bus: this.#options.bus, sealedBusSeed, state },
        this.#options.signer,
      );
    });
  }

  /** Answers `POST /v1/renew`: for nodes that the bus does not let in any more. The signature says which node it is. */
  async renewByHttps(bytes: Uint8Array): Promise<Uint8Array> {
    const { keyIds } = claimOf(bytes);
    const isOf = (record: NodeRecordState): boolean =>
      [record.current.keyId, record.next?.keyId, ...record.retired].some(
        (keyId) => keyId !== undefined && keyIds.includes(keyId),
      );
    const record = this.nodes.list().find(isOf);
    return await this.handle({
      kind: "renew",
      node: record === undefined ? "" : token26(record.node),
      bytes,
    });
  }

  async createEntry(wanted: NewEntry, by: Operator): Promise<Entry> {
    await this.#recordOrder("entry create", wanted.spiffeId, by);
    const entry = await this.entries.create(wanted);
    this.#announcer.announce("entry.created", entry.spiffeId, { entry: entry.id });
    return entry;
  }

  async deleteEntry(id: string, by: Operator): Promise<Entry> {
    await this.#recordOrder("entry delete", id, by);
    const entry = await this.entries.delete(id);
    this.#announcer.announce("entry.deleted", entry.spiffeId, { entry: id });
    return entry;
  }

  async createToken(
    wanted: { readonly nodeName: string; readonly labels: Readonly<Record<string, string>> },
    by: Operator,
  ): Promise<{ readonly joinString: string; readonly expires: number }> {
    await this.#recordOrder("node token", wanted.nodeName, by);
    return await this.nodes.createToken(wanted.nodeName, wanted.labels);
  }

  async rotate(by: Operator): Promise<RotationProgress> {
    await this.#recordOrder("ca rotate", "x509", by);
    const progress = await this.rotation.start(`uid ${by.uid}`);
    this.#announcer.announce("authority.prepared", `spiffe://${this.#options.trustDomain}`, {
      rotation: progress.rotation,
    });
    await this.#advance();
    return progress;
  }

  /** Called whenever a rotation may have gone on; the returned function ends it. */
  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** For readiness: may this issuer sign, and does everything it wrote lie where nodes read it? */
  status(): {
    readonly fenced: boolean;
    readonly pending: number;
    readonly epoch: bigint;
    readonly term: bigint;
    readonly nodes: number;
    readonly entries: number;
  } {
    const { fenced, pending, epoch, term } = this.#state;
    return {
      fenced,
      pending,
      epoch,
      term,
      nodes: this.nodes.list().length,
      entries: this.entries.list().length,
    };
  }

  /** The bus is back: whatever was journalled meanwhile goes out, and a head after it. */
  async onBusBack(): Promise<void> {
    await this.#state.reconcile();
    await this.#heads.announce();
  }

  stop(): void {
    this.#stopped = true;
    this.#tick?.cancel();
    this.#heads.stop();
    this.#announcer.stop();
  }

  async #answer(
    bytes: Uint8Array,
    node: string,
    make: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const { metrics, log, signer } = this.#options;
    try {
      return await this.#answers.of(sha256Hex(bytes), make);
    } catch (thrown) {
      metrics.increment("herald_issuer_requests_refused_total", {
        code: thrown instanceof HeraldError ? String(thrown.code) : "INTERNAL",
      });
      log.warn({ node, reason: reasonOf(thrown) }, "request refused");
      if (!(thrown instanceof Refusal)) throw thrown;
      // A refusal is bound to the request by the digest of its bytes' signed part, where they have one.
      return await reply(
        "refused",
        { ...this.#stamp(claimOf(bytes).digest), code: thrown.code, reason: thrown.message },
        signer,
      );
    }
  }

  async #admit<K extends NodeRequestKind>(
    kind: K,
    request: { readonly node: string; readonly bytes: Uint8Array },
  ): Promise<Admitted<K>> {
    const { trustDomain, clock } = this.#options;
    const record = this.#state.get("node-record", recordKey(request.node));
    const admitted = admit(kind, request.bytes, { record, trustDomain, clock });
    if (admitted.byNextKey) await this.nodes.confirmNextKey(admitted.record);
    return admitted;
  }

  async #sign(admitted: Admitted<"sign-request">): Promise<Uint8Array> {
    this.#refuseWhenBehind(admitted.request);
    return await this.#signing.answer(admitted);
  }

  async #renew(admitted: Admitted<"renew-request">): Promise<Uint8Array> {
    const { chain } = await this.nodes.renew(admitted);
    this.#announcer.announce("node.renewed", admitted.record.node, {});
    return await reply(
      "renew-reply",
      { ...this.#stamp(admitted.request.digest), chain, bus: this.#options.bus },
      this.#options.signer,
    );
  }

  async #tellState(admitted: Admitted<"state-request">): Promise<Uint8Array> {
    const { request, record } = admitted;
    const head = Buffer.from(this.#heads.newest ?? new Uint8Array()).toString("base64");
    const told = {
      ...this.#stamp(request.digest),
      nonce: request.payload.nonce,
      head,
      state: this.#stateOf(record.node),
    };
    return await reply("state-reply", told, this.#options.signer);
  }

  async #keepAck(admitted: Admitted<"ack">): Promise<Uint8Array> {
    const { request } = admitted;
    if (await this.acknowledgements.keep(request)) {
      this.#advance().catch((thrown: unknown) =>
        this.#options.log.error({ reason: reasonOf(thrown) }, "the rotation could not go on"),
      );
    }
    return await reply(
      "ack-reply",
      { ...this.#stamp(request.digest), counter: request.payload.counter },
      this.#options.signer,
    );
  }

  async #advance(): Promise<void> {
    await this.rotation.advance();
    for (const listener of this.#listeners) listener();
  }

  #refuseWhenBehind(request: Opened<"sign-request">): void {
    if (this.#state.fenced) throw fencedError();
    if (!isAhead(request.payload.highest, this.#heads.ref())) return;
    this.#options.metrics.increment("herald_issuer_behind_total");
    throw new Refusal(
      "ISSUER_BEHIND",
      "a node has seen a newer head than this issuer's: was its disk restored from a copy? It does not sign until that is settled",
    );
  }

  #stateOf(node: SpiffeId): readonly string[] {
    const { trustDomain } = this.#options;
    return [
      controlKey,
      revocationsKey(trustDomain),
      bundleKey(trustDomain),
      groupIndexKey,
      manifestKey(node),
    ].flatMap((key) => {
      const bytes = this.#state.envelope(key);
      return bytes === undefined ? [] : [Buffer.from(bytes).toString("base64")];
    });
  }

  #stamp(request: string): {
    readonly td: TrustDomain;
    readonly at: number;
    readonly request: string;
  } {
    return { td: this.#options.trustDomain, at: this.#options.clock.now(), request };
  }

  async #recordOrder(verb: string, subject: string, by: Operator): Promise<void> {
    await this.#audit.record({ kind: "admin", verb, subject, uid: by.uid, pid: by.pid });
  }

  #resumeAck(record: JournalRecord): void {
    const node = this.#state.get("node-record", recordKey(record.key));
    if (node === undefined) return;
    try {
      this.acknowledgements.resume(
        record.bytes,
        onlyKey("node", verifyingKey(Buffer.from(node.current.spki, "base64"), "ES256")),
      );
    } catch (thrown) {
      if (!(thrown instanceof EnvelopeError)) throw thrown;
      this.#options.log.info(
        { node: node.node },
        "its last acknowledgement was signed with a key since replaced; waiting for a new one",
      );
    }
  }

  #onWritten(bundle: boolean): void {
    if (bundle)
      this.#announcer.announce("bundle.updated", `spiffe://${this.#options.trustDomain}`, {});
    this.#heads
      .announce()
      .catch((thrown: unknown) =>
        this.#options.log.error({ reason: reasonOf(thrown) }, "could not send a head"),
      );
  }

  /** First for this node and entry: issued; again: rotated. Services that reload on rotation listen for the latter. */
  #announceIssued(node: SpiffeId, svids: readonly IssuedSvid[]): void {
    for (const { spiffeId, entry, serial, notAfter } of svids) {
      const known = `${node} ${entry}`;
      const type = this.#announced.has(known) ? "svid.rotated" : "svid.issued";
      this.#announced.add(known);
      this.#announcer.announce(type, spiffeId, {
        entry,
        node,
        serial,
        notAfter: new Date(notAfter).toISOString(),
      });
    }
  }

  #scheduleTick(): void {
    if (this.#stopped) return;
    this.#tick = this.#options.clock.after(tickMs, () => {
      this.#onTick()
        .catch((thrown: unknown) =>
          this.#options.log.warn({ reason: reasonOf(thrown) }, "trying again"),
        )
        .finally(() => this.#scheduleTick());
    });
  }

  async #onTick(): Promise<void> {
    if (this.#state.pending > 0) await this.#state.reconcile();
    await this.#advance();
    const active = this.authorities.active();
    const third = this.#options.settings.authorityLifetimeMs / 3;
    if (
      active !== undefined &&
      this.rotation.running() === undefined &&
      active.notAfter - this.#options.clock.now() < third
    ) {
      await this.rotation.start("automatic: two thirds of the authority's life are over");
    }
  }
}
