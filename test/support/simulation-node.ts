import { parseJoinString } from "../../src/core/envelope/join-string.ts";
import { NodeService } from "../../src/daemon/node-service.ts";
import type { NodeBus } from "../../src/events/bus.ts";
import { EventsError } from "../../src/events/error.ts";
import { joinTokenProof } from "../../src/identity/enrolment-proof.ts";
import { IdentityError } from "../../src/identity/error.ts";
import { IssuerClient } from "../../src/identity/issuer-client.ts";
import { NodeIdentity, type NodeIdentityOptions } from "../../src/identity/node-identity.ts";
import type { CachedSvid, KeptIdentity, PendingKey } from "../../src/identity/ports.ts";
import { type Clock, pause } from "../../src/kit/clock.ts";
import { silentMetrics } from "../../src/kit/metrics.ts";
import type { MemoryBus } from "./memory-bus.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulationDomain } from "./simulation-domain.ts";
import type { SimulationIssuer } from "./simulation-issuer.ts";
import { promptKeys } from "./simulation-keys.ts";
import { Life } from "./simulation-life.ts";
import { RecordingLog } from "./simulation-log.ts";

/** What lies on a node's disk. */
interface NodeDisk {
  identity?: KeptIdentity;
  pending: PendingKey | undefined;
  readonly svids: Map<string, CachedSvid>;
  view: readonly Uint8Array[];
  consumers?: Uint8Array;
}

/** What a node's machine is made of. */
export interface SimulationNodeOptions {
  readonly name: string;
  readonly domain: SimulationDomain;
  readonly issuer: SimulationIssuer;
  readonly bus: MemoryBus;
  readonly clock: Clock;
  readonly random: SeededRandom;
}

/** One node's machine: disk and processes outlive the daemon, which can be killed and started again. */
export class SimulationNode {
  readonly log: RecordingLog = new RecordingLog();
  readonly disk: NodeDisk = { pending: undefined, svids: new Map(), view: [] };
  /** Which processes run: pid to a token of this very process. */
  readonly processes: Map<number, string> = new Map();
  /** Hears what the node keeps, before it acts upon it. */
  onSaved: (envelopes: readonly Uint8Array[]) => void = () => undefined;
  readonly #options: SimulationNodeOptions;
  #life = new Life();
  #service: NodeService | undefined;

  constructor(options: SimulationNodeOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  /** The running daemon; undefined while there is none. */
  get service(): NodeService | undefined {
    return this.#life.ended ? undefined : this.#service;
  }

  get identity(): KeptIdentity {
    if (this.disk.identity === undefined) throw new RangeError(`${this.name} is not enrolled`);
    return this.disk.identity;
  }

  /** Enrols by a join string, straight at the issuer, and starts. */
  async enrol(joinString: string): Promise<void> {
    const options = this.#identityOptions(this.#life);
    const { identity, state } = await NodeIdentity.enrol(
      options,
      joinTokenProof(parseJoinString(joinString), this.name),
    );
    await this.#run(this.#life, { identity, options, state });
  }

  /** SIGKILL. */
  kill(): void {
    this.#life.end();
    void this.#service?.stop();
    this.#service = undefined;
  }

  /** Starts the daemon on what the one before left. */
  async start(): Promise<void> {
    this.kill();
    this.#life = new Life();
    const options = this.#identityOptions(this.#life);
    const identity = await NodeIdentity.resume(options);
    if (identity === undefined) throw new RangeError(`${this.name} is not enrolled`);
    await this.#run(this.#life, { identity, options, state: [] });
  }

  async #run(
    life: Life,
    enrolled: {
      readonly identity: NodeIdentity;
      readonly options: NodeIdentityOptions;
      readonly state: readonly Uint8Array[];
    },
  ): Promise<void> {
    const { disk, log } = this;
    const { identity, options, state } = enrolled;
    const service = new NodeService({
      ...options,
      trust: this.#options.domain.trust(),
      identity,
      staleCrls: "strip",
      bus: this.#bus(life, identity.token),
      viewStore: {
        load: () => life.does(async () => await Promise.resolve(disk.view)),
        save: (envelopes) =>
          life.does(async () => {
            await Promise.resolve();
            this.onSaved(envelopes);
            disk.view = [...envelopes];
          }),
      },
      cache: {
        load: () => life.does(async () => await Promise.resolve([...disk.svids.values()])),
        save: (svids) =>
          life.does(async () => {
            await Promise.resolve();
            for (const svid of svids) disk.svids.set(svid.entry, svid);
          }),
        remove: (entries) =>
          life.does(async () => {
            await Promise.resolve();
            for (const entry of entries) disk.svids.delete(entry);
          }),
      },
      consumerStore: {
        load: () => life.does(async () => await Promise.resolve(disk.consumers)),
        save: (bytes) =>
          life.does(async () => {
            await Promise.resolve();
            disk.consumers = bytes;
          }),
      },
      processes: { startOf: (pid) => this.processes.get(pid) },
      log,
      metrics: silentMetrics,
    });
    this.#service = service;
    await service.resume(state);
    await service.start();
  }

  #identityOptions(life: Life): NodeIdentityOptions {
    const { domain, random } = this.#options;
    const { disk, log } = this;
    const clock = life.clock(this.#options.clock);
    const { trustDomain } = domain;
    return {
      trustDomain,
      client: new IssuerClient({ trust: domain.trust(), clock, random, log }),
      store: {
        load: () => life.does(async () => await Promise.resolve(disk.identity)),
        save: (identity) =>
          life.does(async () => {
            await Promise.resolve();
            disk.identity = identity;
          }),
        loadPending: () => life.does(async () => await Promise.resolve(disk.pending)),
        savePending: (pending) =>
          life.does(async () => {
            await Promise.resolve();
            disk.pending = pending;
          }),
      },
      post: (path, bytes) =>
        life.does(() => inTime({ clock, timeoutMs: 5000 }, this.#post(path, bytes))),
      keys: promptKeys,
      clock,
      random,
      log,
    };
  }

  #bus(life: Life, token: string): Pick<NodeBus, "read" | "subscribe" | "request"> {
    const bus = this.#options.bus.node(token);
    const clock = life.clock(this.#options.clock);
    return {
      read: (key) => life.does(() => bus.read(key)),
      subscribe: (listener) =>
        life.does(() =>
          bus.subscribe({
            onHead: (bytes) => life.ended || listener.onHead(bytes),
            onObject: (key, bytes) => life.ended || listener.onObject(key, bytes),
            onConnected: () => life.ended || listener.onConnected(),
            onDisconnected: () => life.ended || listener.onDisconnected(),
          }),
        ),
      request: (kind, bytes, options) =>
        life.does(() =>
          inTime({ clock, timeoutMs: options.timeoutMs }, bus.request(kind, bytes, options)),
        ),
    };
  }

  async #post(path: string, bytes: Uint8Array): Promise<Uint8Array> {
    const { running } = this.#options.issuer;
    if (running === undefined) throw new IdentityError("NO_ANSWER", "no issuer is there");
    return await (path === "/v1/enrol"
      ? running.reception.enrol(bytes)
      : running.reception.renewByHttps(bytes));
  }
}

/** Neither the memory bus nor a dead issuer keeps time, so waiting for an answer ends here. */
async function inTime(
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
  answer: Promise<Uint8Array>,
): Promise<Uint8Array> {
  const late = pause(clock, timeoutMs).then(() => {
    throw new EventsError("BUS_TIMEOUT", "no answer in time");
  });
  return await Promise.race([answer, late]);
}
