import { token26 } from "../../src/core/envelope/object-keys.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import type { X509Svid } from "../../src/core/svid/workload-view.ts";
import type { IssuerBus } from "../../src/events/bus.ts";
import { IssuerError } from "../../src/issuer/error.ts";
import { HeldClock } from "../support/held-clock.ts";
import { MemoryBus } from "../support/memory-bus.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type SimulationDomain, simulationDomain } from "../support/simulation-domain.ts";
import { issuerMember, SimulationIssuer } from "../support/simulation-issuer.ts";
import { SimulationNode } from "../support/simulation-node.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { Cuts } from "./cuts.ts";
import { FakeEnvoy } from "./fake-envoy.ts";
import { Ledger } from "./ledger.ts";
import { BusWeather, observer } from "./weather.ts";
import { Witness } from "./witness.ts";

const start = Date.UTC(2026, 10, 22, 12);

/** What the store held some time ago. */
type Snapshot = ReadonlyMap<string, Uint8Array>;

/** How many of them a power cut may go back. */
const keptSnapshots = 12;

/** One issuer, two nodes, their Envoys and the bus between them: all driven by one clock and one seed. */
export class World {
  readonly seed: number;
  readonly clock: HeldClock = new HeldClock(start);
  readonly random: SeededRandom;
  readonly domain: SimulationDomain;
  readonly bus: MemoryBus;
  readonly weather: BusWeather;
  readonly issuer: SimulationIssuer;
  readonly nodes: readonly SimulationNode[];
  readonly envoys: FakeEnvoy[] = [];
  readonly ledger: Ledger = new Ledger();
  readonly cuts: Cuts = new Cuts();
  readonly witness: Witness;
  /** What happened, without a byte of any key or signature: the same for the same seed. */
  readonly trace: string[] = [];
  steps = 0;
  readonly #observer: IssuerBus;
  #snapshots: Snapshot[] = [];
  #pids = 100;

  private constructor(seed: number, domain: SimulationDomain) {
    this.seed = seed;
    this.domain = domain;
    this.random = SeededRandom.of(seed, "operations");
    this.weather = new BusWeather(SeededRandom.of(seed, "weather"));
    this.bus = new MemoryBus({
      trustDomain: domain.trustDomain,
      schedule: (run) => void this.clock.after(this.weather.delay(), run),
    });
    this.#observer = this.bus.issuer(observer);
    const { clock, bus } = this;
    this.issuer = new SimulationIssuer({
      domain,
      clock,
      bus,
      random: SeededRandom.of(seed, "issuer"),
      // Rare heads make long times short to tell.
      settings: { headIntervalMs: 120_000 },
    });
    const { issuer } = this;
    this.nodes = ["east", "west"].map(
      (name) =>
        new SimulationNode({
          name,
          domain,
          issuer,
          bus,
          clock,
          random: SeededRandom.of(seed, name),
        }),
    );
    this.witness = new Witness(this);
  }

  /** A fleet at work: both nodes enrolled, an Envoy and a Workload API client on each, an entry that fits them all. */
  static async of(seed: number): Promise<World> {
    const world = new World(seed, await simulationDomain(start));
    world.#forecast();
    await world.issuer.start();
    for (const node of world.nodes) {
      const { joinString } = await world.issuer.issuer.createToken(
        { nodeName: node.name, labels: { side: node.name }, replaces: false },
        { kind: "unix", uid: 0, pid: 1 },
      );
      await node.enrol(joinString);
      world.spawn(node, "sds");
      world.spawn(node, "workload-api");
    }
    await world.ledger.create(world.issuer.issuer, { kind: "all" }, 1000);
    await world.advance(3000);
    return world;
  }

  /** A new process on a node, connected soon. */
  spawn(node: SimulationNode, kind: "sds" | "workload-api"): void {
    this.#pids += 1;
    const pid = this.#pids;
    const envoy = new FakeEnvoy({
      pid,
      kind,
      node,
      clock: this.clock,
      random: SeededRandom.of(this.seed, `pid ${pid}`),
      selectors: [parseSelector("unix:uid:1000"), parseSelector(`unix:gid:${kind.length}`)],
      onSvid: (_envoy, svid) => this.#used(svid),
    });
    this.envoys.push(envoy);
    envoy.connectLater(100);
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** Starts the issuer unless one runs, as a supervisor does. */
  async ensureIssuer(): Promise<void> {
    if (this.issuer.running !== undefined) return;
    // A start may die halfway, and then nobody answers: so nobody waits for it.
    this.issuer.start().then(
      () => this.trace.push("issuer starts"),
      () => this.trace.push("issuer fails to start"),
    );
    await quiet();
  }

  killNode(node: SimulationNode): void {
    node.kill();
    for (const envoy of this.envoys) if (envoy.node === node) envoy.lose();
  }

  async ensureNodes(): Promise<void> {
    for (const node of this.nodes) if (node.service === undefined) await node.start();
  }

  /** Everybody on the bus, by the names it knows. */
  get members(): readonly string[] {
    return [issuerMember, ...this.nodes.map((node) => this.tokenOf(node))];
  }

  tokenOf(node: SimulationNode): string {
    return token26(node.identity.node);
  }

  /** Remembers what the store holds, for a power cut to go back to. */
  async remember(): Promise<void> {
    this.#snapshots = [await this.#observer.loadAll(), ...this.#snapshots].slice(0, keptSnapshots);
  }

  /** The store goes back to what it held some steps ago; `back` beyond them leaves nothing. */
  rewindStore(back: number): void {
    const { faults } = this.bus;
    faults.destroy();
    for (const [key, bytes] of this.#snapshots[back] ?? []) faults.forge(key, bytes);
  }

  /** NATS goes away and comes back, and everybody notices. */
  async reconnect(awayMs: number): Promise<void> {
    const { faults } = this.bus;
    for (const member of this.members) faults.disconnect(member);
    await this.advance(awayMs);
    for (const member of this.members) faults.reconnect(member);
    this.issuer.running?.onBusBack().catch((thrown: unknown) => this.#notBack(thrown));
    await quiet();
  }

  /** The end of all trouble: what is left must come right by itself. */
  async heal(): Promise<void> {
    this.weather.calm();
    this.bus.faults.calm();
    this.#forecast();
    this.issuer.audit.up = true;
    this.issuer.journal.crashAt({ append: Number.MAX_SAFE_INTEGER, kept: 0 });
    await this.ensureIssuer();
    await this.ensureNodes();
    await this.reconnect(100);
    await this.ensureIssuer();
    if (this.issuer.running !== undefined) await this.cuts.dismiss(this.issuer.running);
    // A pause is an operator's, and ends with one.
    await this.issuer.running?.rotation.resume().catch(() => undefined);
    for (const envoy of this.envoys) envoy.connect();
  }

  /** An issuer whose audit stream lost records gives up, and its supervisor starts it anew; anything else is mended by its next tick. */
  #notBack(thrown: unknown): void {
    const isBehind = thrown instanceof IssuerError && thrown.code === "AUDIT_BEHIND";
    this.trace.push(isBehind ? "issuer gives up" : "issuer is not back yet");
    if (isBehind) this.issuer.kill();
  }

  #forecast(): void {
    this.bus.faults.rule((passage) => this.weather.fate(passage));
  }

  #used(svid: X509Svid): void {
    this.trace.push(`${svid.id} used`);
    this.witness.used(svid);
  }
}
