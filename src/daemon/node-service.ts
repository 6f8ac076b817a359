import type { Bundle } from "../core/bundle/bundle.ts";
import { parseBundle } from "../core/bundle/document.ts";
import type { Opened } from "../core/envelope/envelope.ts";
import { base32 } from "../core/envelope/object-keys.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import { zeroVersion } from "../core/envelope/version.ts";
import { selectsNode } from "../core/policy/entry.ts";
import type { Selector } from "../core/spiffe/selector.ts";
import type { StaleCrls } from "../core/svid/crl-cover.ts";
import type { WorkloadView } from "../core/svid/workload-view.ts";
import type { KeyMaker } from "../core/x509/key-pair.ts";
import type { NodeBus } from "../events/bus.ts";
import { type FollowedState, Follower, type ViewStore } from "../events/follower.ts";
import { NodeView } from "../events/node-view.ts";
import { ownEntries } from "../events/own-entries.ts";
import { Consumers } from "../identity/consumers.ts";
import { IdentityError } from "../identity/error.ts";
import type { IssuerClient } from "../identity/issuer-client.ts";
import type { NodeIdentity } from "../identity/node-identity.ts";
import type { ConsumerStore, Processes, SvidCache } from "../identity/ports.ts";
import { type NodeReport, Reporter } from "../identity/reporter.ts";
import { Revocations, reasonOfGap } from "../identity/revocations.ts";
import { authorityUses } from "../identity/svids-in-use.ts";
import { type SignCsrs, WorkloadIdentities } from "../identity/workload-identities.ts";
import type { WorkloadState } from "../identity/workload-state.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import type { Clock, Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { Random } from "../kit/random.ts";
import { ConsumerSaver } from "./consumer-saver.ts";

/** Everything of the world that a node needs. */
export interface NodeServiceOptions {
  readonly trust: ControlTrust;
  readonly identity: NodeIdentity;
  readonly client: IssuerClient;
  readonly bus: Pick<NodeBus, "read" | "subscribe" | "request">;
  readonly viewStore: ViewStore;
  readonly cache: SvidCache;
  readonly consumerStore: ConsumerStore;
  readonly processes: Processes;
  readonly keys: KeyMaker;
  readonly staleCrls: StaleCrls;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Where a node stands, for readiness and metrics. Times are milliseconds since the epoch. */
export interface NodeStatus {
  readonly synced: boolean;
  /** No head for three intervals. */
  readonly stale: boolean;
  readonly entries: number;
  readonly svids: number;
  readonly nextExpiry: number | undefined;
  readonly nodeExpiry: number;
  /** Why revoked peers are let in, though there are CRLs; undefined when all is well. */
  readonly crlFault: string | undefined;
}

/**
 * One node, all rooms connected and no adapter in sight: the daemon gives it sockets and files, the simulation a bus in memory and a clock that it
 * drives. State comes in by the follower, identities are kept ready, consumers are reported back.
 */
export class NodeService {
  readonly consumers: Consumers;
  readonly #saver: ConsumerSaver;
  readonly #options: NodeServiceOptions;
  readonly #view: NodeView;
  readonly #follower: Follower;
  readonly #workloads: WorkloadIdentities;
  readonly #revocations: Revocations;
  #state: FollowedState = { shared: [], sharedVersion: zeroVersion, synced: false };
  readonly #reporter: Reporter;
  #bundle: { readonly of: string; readonly bundle: Bundle } | undefined;
  #renewal: Timer | undefined;
  #renewing = false;
  readonly #synced = Promise.withResolvers<void>();
  #askPinsAt = 0;
  #stopped = false;

  constructor(options: NodeServiceOptions) {
    this.#options = options;
    const { trust, identity, bus, clock, random } = options;
    const ask: NodeBus["request"] = (kind, bytes, limits) => bus.request(kind, bytes, limits);
    this.#view = new NodeView({ trust, node: identity.id });
    this.consumers = new Consumers({
      clock,
      processes: options.processes,
      authorityOf: (serial) => this.#workloads.authorities.of(serial),
      onChange: () => this.#onConsumers(),
    });
    const { consumers } = this;
    this.#saver = new ConsumerSaver({ ...options, consumers, store: options.consumerStore });
    this.#follower = new Follower({
      ...options,
      view: this.#view,
      store: options.viewStore,
      askIssuer: () => identity.askState(ask, this.#view.highest),
      onChange: (state) => this.#onState(state),
    });
    this.#revocations = new Revocations({
      ...options,
      stale: options.staleCrls,
      onChange: () => this.#tellWorkloads(),
    });
    const onChange = (): void => this.#onSvids();
    this.#workloads = new WorkloadIdentities({
      ...options,
      trustDomain: trust.trustDomain,
      sign: (items) => this.#sign(items),
      onChange,
    });
    const boot = base32(random.bytes(10));
    this.#reporter = new Reporter({ ...options, ask, boot, report: () => this.#report() });
  }

  /** Takes over the disk; what it held is served from here on, whatever the network does. `state` is what enrolment brought. */
  async resume(state: readonly Uint8Array[] = []): Promise<void> {
    const { consumerStore, viewStore, log } = this.#options;
    const consumers = await consumerStore.load();
    try {
      if (consumers !== undefined) this.consumers.resume(consumers);
    } catch (thrown) {
      log.warn(
        { reason: reasonOf(thrown) },
        "the list of consumers is damaged; starting a new one",
      );
    }
    await this.#workloads.resume();
    await this.#follower.resume([...(await viewStore.load()), ...state]);
  }

  /** Resolves when the state was read once since the start. */
  get whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Connects to the bus and goes on from there. Resolves when subscribed. */
  async start(): Promise<void> {
    await this.#follower.start();
    this.#reporter.start();
    this.#scheduleRenewal();
  }

  /** Watches what a caller with these selectors is entitled to. */
  watch(
    selectors: readonly Selector[],
    onChange: (view: WorkloadView) => void,
    pid = 0,
  ): { current(): WorkloadView; close(): void } {
    return this.#workloads.watch(selectors, onChange, pid);
  }

  /** Pins of the broker's keys that the newest bundle tells. */
  get brokerPins(): readonly string[] {
    return this.#view.get("bundle")?.payload.brokerPins ?? [];
  }

  /** The broker shows a key that nobody told of: an issuer is asked by HTTPS, whose renewal reply tells the pins (protocol.md, Enrolment). At most once a minute. */
  async onBusFailing(code: string): Promise<void> {
    const { clock, identity, log } = this.#options;
    if (code !== "BUS_PIN_MISMATCH" || this.#renewing || clock.now() < this.#askPinsAt) return;
    this.#askPinsAt = clock.now() + 60_000;
    try {
      await identity.renew(noBus, this.#view.get("bundle")?.payload.activeAuthority ?? "");
      log.info({}, "an issuer told the broker's pins by HTTPS");
    } catch (thrown) {
      log.warn(
        { reason: reasonOf(thrown) },
        "no issuer told the broker's pins by HTTPS; trying again in a minute",
      );
    }
  }

  status(): NodeStatus {
    const { synced, stale } = this.#follower;
    const { gap } = this.#revocations;
    return {
      ...this.#workloads.status(),
      synced,
      stale,
      nodeExpiry: this.#options.identity.expiresAt,
      crlFault: gap === undefined ? undefined : reasonOfGap(gap),
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#renewal?.cancel();
    this.#reporter.stop();
    this.#workloads.stop();
    this.#revocations.stop();
    await this.#follower.stop();
    await this.#saver.stop();
  }

  async #sign(items: Parameters<SignCsrs>[0]): ReturnType<SignCsrs> {
    const { client, identity, bus } = this.#options;
    const stamp = client.stamp(identity.id);
    const { answer } = await client.ask({
      kind: "sign-request",
      answer: "sign-reply",
      payload: (at) => ({ ...stamp, at, highest: this.#view.highest, items }),
      signer: identity.signer,
      send: (bytes, timeoutMs) => bus.request("sign", bytes, { timeoutMs }),
    });
    return answer.payload.results;
  }

  #onState(state: FollowedState): void {
    this.#state = state;
    if (state.synced) this.#synced.resolve();
    if (this.#view.get("manifest")?.payload.banned === true)
      this.#options.log.error(
        { alarm: "banned" },
        "this node is banned; its identities end as they expire",
      );
    this.#judgeCrls();
    this.#tellWorkloads();
    this.#reporter.changed();
    this.#scheduleRenewal();
  }

  #tellWorkloads(): void {
    const { identity } = this.#options;
    const manifest = this.#view.get("manifest")?.payload;
    const traits = { id: identity.id, labels: manifest?.labels ?? {} };
    const { shared, sharedVersion, synced } = this.#state;
    const entries = [
      ...shared.filter((entry) => selectsNode(entry.nodes, traits)),
      ...(manifest === undefined ? [] : ownEntries(manifest, sharedVersion)),
    ];
    const bundle = this.#view.get("bundle");
    const trust = bundle === undefined ? noTrust : this.#trustOf(bundle);
    const { crls } = this.#revocations;
    this.#workloads.update({ entries, node: traits, ...trust, crls, synced });
  }

  /** A new SVID may come with the chain by which a CRL can be proven. */
  #onSvids(): void {
    this.#reporter.changed();
    const before = this.#revocations.crls;
    this.#judgeCrls();
    if (this.#revocations.crls !== before) this.#tellWorkloads();
  }

  #judgeCrls(): void {
    const bundle = this.#view.get("bundle");
    this.#revocations.update({
      published: this.#view.get("revocations")?.payload.crls ?? [],
      bundle: bundle === undefined ? undefined : this.#parsed(bundle),
      activeAuthority: bundle?.payload.activeAuthority ?? "",
      intermediates: [
        ...this.#options.identity.kept.chain.slice(1),
        ...this.#workloads.intermediates(),
      ],
    });
  }

  #trustOf(object: Opened<"bundle">): Omit<WorkloadState, "entries" | "node" | "crls" | "synced"> {
    const { activeAuthority, taintedAuthorities } = object.payload;
    return { bundle: this.#parsed(object), activeAuthority, taintedAuthorities };
  }

  /** The same value for the same object: views are compared by it. */
  #parsed(object: Opened<"bundle">): Bundle {
    if (this.#bundle?.of !== object.digest) {
      this.#bundle = {
        of: object.digest,
        bundle: parseBundle(this.#options.trust.trustDomain, object.payload.document),
      };
    }
    return this.#bundle.bundle;
  }

  #onConsumers(): void {
    this.#reporter.changed();
    this.#saver.changed();
  }

  #report(): NodeReport {
    const { identity, clock } = this.#options;
    const svids = [...identity.svids(), ...this.#workloads.svids(), ...this.consumers.svids()];
    const spreadMs = this.#view.head?.ackSpreadMs ?? 0;
    return {
      highest: this.#view.highest,
      applied: this.#follower.applied,
      consumers: this.consumers.report(),
      authorities: authorityUses(svids, clock.now()),
      spreadMs,
    };
  }

  #scheduleRenewal(): void {
    if (this.#stopped || this.#renewing) return;
    const { identity, clock } = this.#options;
    const bundle = this.#view.get("bundle")?.payload;
    const at =
      bundle !== undefined && identity.isSignedByOther(bundle.activeAuthority)
        ? clock.now()
        : identity.renewAt;
    this.#renewal?.cancel();
    this.#renewal = clock.after(Math.max(0, at - clock.now()), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const { identity, bus, clock, random, log } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 1000, maxMs: 60_000, random });
    this.#renewing = true;
    while (!this.#stopped) {
      try {
        await identity.renew(
          (kind, bytes, limits) => bus.request(kind, bytes, limits),
          this.#view.get("bundle")?.payload.activeAuthority ?? "",
        );
        break;
      } catch (thrown) {
        log.warn(
          { reason: reasonOf(thrown), expires: new Date(identity.expiresAt).toISOString() },
          "could not renew the node SVID; trying again",
        );
        await new Promise<void>((resolve) => clock.after(backoff.next(), resolve));
      }
    }
    this.#renewing = false;
    this.#reporter.changed();
    this.#scheduleRenewal();
  }
}

/** Before the first bundle came. */
const noTrust = { bundle: undefined, activeAuthority: "", taintedAuthorities: [] };

/** The bus of a node that must not use it. */
const noBus: NodeBus["request"] = () =>
  Promise.reject(new IdentityError("NO_ANSWER", "the broker's key is not pinned"));
