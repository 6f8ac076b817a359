import type { Bundle } from "../core/bundle/bundle.ts";
import { parseBundle } from "../core/bundle/document.ts";
import type { Operator } from "../core/envelope/audit-payloads.ts";
import { bundleKey, controlKey, termKey } from "../core/envelope/object-keys.ts";
import type { Entry, NewEntry } from "../core/policy/entry.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import { Announcer } from "./announcer.ts";
import { openNodes } from "./attestors.ts";
import type { AuditChain } from "./audit/audit-chain.ts";
import { digestAt } from "./audit/audit-reading.ts";
import type { AuditWitnesses } from "./audit/audit-witnesses.ts";
import { auditTrail } from "./audit-trail.ts";
import { resumeAcks } from "./authorities/acknowledgement-journal.ts";
import { Acknowledgements } from "./authorities/acknowledgements.ts";
import { Authorities } from "./authorities/authorities.ts";
import type { Rotation } from "./authorities/rotation.ts";
import { bundleChange } from "./authorities/trust-bundle.ts";
import { Upkeep } from "./authorities/upkeep.ts";
import { type AuthorityMachine, authorityMachine } from "./authority-machine.ts";
import { Entrance } from "./door/entrance.ts";
import { Reception } from "./door/reception.ts";
import { Entries } from "./entries/entries.ts";
import { EntryOrders } from "./entries/entry-orders.ts";
import { newId } from "./identifiers.ts";
import { issuedNews } from "./issued-news.ts";
import type { NewToken } from "./nodes/join-tokens.ts";
import type { Nodes } from "./nodes/nodes.ts";
import { type IssuerOptions, longestLifeMs } from "./options.ts";
import { operatorText, orderText, tokenVerb } from "./order-text.ts";
import type { JournalRecord } from "./ports.ts";
import { recordKey } from "./requests.ts";
import { Svids } from "./revocation/svids.ts";
import { OwnSvid } from "./signing/own-svid.ts";
import { Signing } from "./signing/signing.ts";
import { Heads } from "./state/heads.ts";
import { SignedState } from "./state/signed-state.ts";

/** How often gates that open with time, and a store that was away, are looked at. */
const tickMs = 1000;

/** What an operator wants done, in the words of the command line. */
export interface Order {
  readonly verb: string;
  /** What it is about: an id, a name. */
  readonly subject: string;
  readonly by: Operator;
}

/** One issuer: state, entries, nodes, authorities and their rotation, behind the bus, the enrolment endpoint and the admin API. */
export class Issuer {
  readonly entries: Entries;
  readonly entryOrders: EntryOrders;
  readonly nodes: Nodes;
  readonly authorities: Authorities;
  readonly ca: AuthorityMachine;
  readonly rotation: Rotation;
  readonly acknowledgements: Acknowledgements;
  readonly svids: Svids;
  /** Who keeps checkpoints of the audit chain. */
  readonly witnesses: AuditWitnesses;
  readonly #options: IssuerOptions;
  readonly #state: SignedState;
  readonly #audit: AuditChain;
  readonly #heads: Heads;
  readonly #announcer: Announcer;
  readonly #upkeep: Upkeep;
  /** What this issuer serves its admin API with. */
  readonly ownSvid: OwnSvid;
  /** Where nodes' requests come in. */
  readonly reception: Entrance;
  readonly #listeners = new Set<() => void>();
  #tick: Timer | undefined;
  #stopped = false;

  private constructor(options: IssuerOptions) {
    this.#options = options;
    const { journal, settings } = options;
    const state = new SignedState({
      ...options,
      pages: () => this.entries.pages(),
      before: (changes) => this.svids.revocations.before(changes),
      onWritten: (kinds) => this.#onWritten(kinds.has("bundle")),
    });
    const { audit, witnesses } = auditTrail(options, (record) => this.svids.onRecord(record));
    this.witnesses = witnesses;
    const authorities = new Authorities({
      ...options,
      state,
      lifetimeMs: settings.authorityLifetimeMs,
    });
    const entries = new Entries({ ...options, ...settings, state });
    const acknowledgements = new Acknowledgements(journal);
    const parts = { ...options, state, audit, authorities, entries, acknowledgements };
    this.#state = state;
    this.#audit = audit;
    this.#heads = new Heads({
      ...parts,
      intervalMs: settings.headIntervalMs,
      nodes: () => state.list("node-record").length,
    });
    const announcer = new Announcer({ ...options, stream: options.eventStream });
    this.#announcer = announcer;
    this.acknowledgements = acknowledgements;
    this.entries = entries;
    this.entryOrders = new EntryOrders({
      entries,
      announcer: this.#announcer,
      carryOut: async (order, run) => await this.carryOut(order, run),
    });
    this.authorities = authorities;
    const onBanned = (node: SpiffeId): void => this.#onBanned(node);
    const clear = (node: SpiffeId): Promise<void> => this.svids.clear(node);
    this.nodes = openNodes({ ...parts, ttlSeconds: settings.nodeTtlSeconds, onBanned, clear });
    this.ownSvid = new OwnSvid({ ...parts, ttlSeconds: settings.defaultTtlSeconds });
    const longest = longestLifeMs(settings);
    this.svids = new Svids({ ...parts, ...settings, announcer, longestLifeMs: longest });
    const { issued } = this.svids;
    this.ca = authorityMachine({ ...parts, announcer, issued, svids: this.svids });
    this.rotation = this.ca.rotation;
    this.#upkeep = new Upkeep(parts);
    const signing = new Signing({ ...parts, onIssued: issuedNews(announcer) });
    const reception = new Reception({
      ...parts,
      nodes: this.nodes,
      signing,
      heads: this.#heads,
      announcer: this.#announcer,
      onAcknowledged: () => this.#onAcknowledged(),
    });
    const nodeOf = (token: string) => state.get("node-record", recordKey(token));
    this.reception = new Entrance({ ...options, reception, nodeOf });
  }

  get trustDomain(): TrustDomain {
    return this.#options.trustDomain;
  }

  /** Opens the journal, mends the store, takes a term, signs what nodes read anew, and sends the first head. */
  static async start(options: IssuerOptions): Promise<Issuer> {
    const issuer = new Issuer(options);
    await issuer.#open(await options.journal.load());
    return issuer;
  }

  async #open(records: readonly JournalRecord[]): Promise<void> {
    const { epoch, issuer, random } = this.#options;
    await this.#state.open(records.filter((record) => record.kind === "object"));
    const kept = records.filter((record) => record.kind === "audit").map(({ bytes }) => bytes);
    await this.#audit.resume(kept);
    await this.witnesses.compare(async (n) => await digestAt(this.#options, kept, n));
    await this.#state.accept(controlKey, epoch.bytes);
    await this.#state.beginTerm({
      epoch: epoch.number,
      key: termKey,
      write: (stamp) => ({ ...stamp, issuer, boot: newId(random) }),
    });
    resumeAcks(records, { ...this.#options, state: this.#state, into: this.acknowledgements });
    this.acknowledgements.listenFrom(this.#options.clock.now());
    await this.signAnew();
    await this.#heads.announce();
    this.witnesses.start();
    this.#scheduleTick();
    this.svids.readBack();
  }

  async createEntry(
    wanted: NewEntry,
    by: Operator,
    allowed: ReadonlySet<string> = new Set(),
  ): Promise<Entry> {
    return await this.entryOrders.create(wanted, by, allowed);
  }

  async deleteEntry(id: string, by: Operator): Promise<Entry> {
    return await this.entryOrders.delete({ id }, by);
  }

  async createToken(
    wanted: NewToken,
    by: Operator,
  ): Promise<{ readonly joinString: string; readonly expires: number }> {
    return await this.carryOut(
      { verb: tokenVerb(wanted), subject: wanted.nodeName, by },
      async () => await this.nodes.createToken(wanted),
    );
  }

  /** Gives an order about authorities, and takes at once whatever step it opens. */
  async order<T>(order: Order, run: (by: string) => Promise<T>): Promise<T> {
    const done = await this.carryOut(order, async () => await run(operatorText(order.by)));
    await this.#advance();
    return done;
  }

  /** All of `ca rotate`; {@link Issuer.onProgress} tells of the rest. */
  async rotate(by: Operator): Promise<void> {
    const order = { verb: "ca rotate", subject: "x509", by };
    await this.order(order, async (text) => await this.ca.orders.rotate(text));
  }

  /** Runs an operator's order, which stands in the audit chain before anything is done about it. */
  async carryOut<T>(order: Order, run: () => Promise<T>): Promise<T> {
    const { verb, subject, by } = order;
    await this.#audit.record({ kind: "admin", verb, subject: orderText(subject, 512), by });
    return await run();
  }

  /** Signs everything that nodes read anew: at the start of a term, and when the control key has a new certificate. */
  async signAnew(): Promise<void> {
    const { trustDomain, bus } = this.#options;
    await this.svids.revocations.signAnew();
    if (this.authorities.list().length === 0) await this.ca.care.begin();
    const authorities = this.authorities.trusted();
    await this.#state.change(() => [
      bundleChange({ trustDomain, state: this.#state, brokerPins: bus.brokerPins, authorities }),
    ]);
    await this.entries.refreshViews();
  }

  /** What verifiers of this trust domain trust as of now. */
  bundle(): Bundle | undefined {
    const { trustDomain } = this.#options;
    const state = this.#state.get("bundle", bundleKey(trustDomain));
    return state === undefined ? undefined : parseBundle(trustDomain, state.document);
  }

  /** Called whenever a rotation may have gone on; the returned function ends it. */
  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The newest head's envelope; undefined before the first. */
  newestHead(): Uint8Array | undefined {
    return this.#heads.newest;
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

  /** The bus is back: whatever was journalled meanwhile goes out, and a head after it. @throws IssuerError AUDIT_BEHIND: restart */
  async onBusBack(): Promise<void> {
    this.acknowledgements.listenFrom(this.#options.clock.now());
    await this.#audit.check();
    await this.#state.reconcile();
    await this.#heads.announce();
  }

  stop(): void {
    this.#stopped = true;
    this.#tick?.cancel();
    this.#heads.stop();
    this.#upkeep.stop();
    this.svids.stop();
    this.witnesses.stop();
    this.reception.stop();
    this.#announcer.stop();
  }

  async #advance(): Promise<void> {
    await this.rotation.advance();
    for (const listener of this.#listeners) listener();
  }

  /** It gets nothing from now on: no kept answer, no say in a rotation. */
  #onBanned(node: SpiffeId): void {
    this.reception.forgetAnswers();
    this.#announcer.announce("node.banned", node, {});
    // For a banned node the tick tries again.
    this.svids
      .revokeNode(node)
      .catch((thrown: unknown) =>
        this.#options.log.error({ node, reason: reasonOf(thrown) }, "could not revoke its SVIDs"),
      );
    this.#onAcknowledged();
  }

  #onAcknowledged(): void {
    this.#advance().catch((thrown: unknown) =>
      this.#options.log.error({ reason: reasonOf(thrown) }, "the rotation could not go on"),
    );
  }

  #onWritten(bundle: boolean): void {
    if (bundle)
      this.#announcer.announce("bundle.updated", `spiffe://${this.#options.trustDomain}`, {});
    // Not during the start: a head under the new term makes old what it does not name, such as manifests that are not signed anew yet.
    if (this.#tick === undefined) return;
    this.#heads
      .announce()
      .catch((thrown: unknown) =>
        this.#options.log.error({ reason: reasonOf(thrown) }, "could not send a head"),
      );
  }

  #scheduleTick(): void {
    if (this.#stopped) return;
    this.#tick = this.#options.clock.after(tickMs, () => {
      const tellOf = (thrown: unknown): void =>
        this.#options.log.warn({ reason: reasonOf(thrown) }, "trying again");
      // Side by side: a rotation that cannot go on must not let CRLs end.
      const both = [this.#onTick().catch(tellOf), this.svids.tick().catch(tellOf)];
      void Promise.all(both).finally(() => this.#scheduleTick());
    });
  }

  async #onTick(): Promise<void> {
    if (this.#state.pending > 0) {
      await this.#state.reconcile();
      await this.#heads.announce();
    }
    await this.#advance();
    await this.ca.care.tend();
    // Not waited for: an upstream may take its time, and the store must not wait with it.
    const running = this.rotation.running();
    if (running?.step === "prepare") return;
    const replace = async (why: string): Promise<void> => await this.ca.orders.replace(why);
    void this.#upkeep.tend(replace, running !== undefined);
  }
}
