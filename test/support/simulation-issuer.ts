import type { EnvelopeSigner } from "../../src/core/envelope/envelope.ts";
import type { IssuerBus, Service } from "../../src/events/bus.ts";
import type { WitnessSettings } from "../../src/issuer/audit/audit-witnesses.ts";
import { selfSigned } from "../../src/issuer/authorities/self-signed.ts";
import { Issuer } from "../../src/issuer/issuer.ts";
import type { AttestorSettings, IssuerOptions, IssuerSettings } from "../../src/issuer/options.ts";
import type { UpstreamAuthority } from "../../src/issuer/ports.ts";
import type { Clock } from "../../src/kit/clock.ts";
import { reasonOf } from "../../src/kit/errors.ts";
import type { Metrics } from "../../src/kit/metrics.ts";
import { MemoryBus } from "./memory-bus.ts";
import { MemoryJournal } from "./memory-journal.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { SimulationAudit } from "./simulation-audit.ts";
import type { SimulationDomain } from "./simulation-domain.ts";
import { MemoryAuthorityKeys } from "./simulation-keys.ts";
import { Life } from "./simulation-life.ts";
import { RecordingLog } from "./simulation-log.ts";

/** What the machine of an issuer is made of. */
export interface SimulationIssuerOptions {
  readonly domain: SimulationDomain;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly bus?: MemoryBus;
  readonly settings?: Partial<IssuerSettings>;
  readonly upstream?: UpstreamAuthority;
  readonly attestors?: AttestorSettings;
  readonly witnesses?: WitnessSettings;
}

/** The issuer's name on the memory bus. */
export const issuerMember = "issuer";

const settings: IssuerSettings = {
  headIntervalMs: 15_000,
  nodeTtlSeconds: 86_400,
  defaultTtlSeconds: 3600,
  maxTtlSeconds: 86_400,
  authorityLifetimeMs: 30 * 24 * 3_600_000,
  lostAfterMs: 15 * 60_000,
  crlLifeMs: 7 * 24 * 3_600_000,
  mintMaxTtlSeconds: 3600,
};

/** One issuer's machine: its disk, keys and bus outlive the process, which can be killed and started again. */
export class SimulationIssuer {
  readonly log: RecordingLog = new RecordingLog();
  readonly keys: MemoryAuthorityKeys = new MemoryAuthorityKeys();
  readonly audit: SimulationAudit = new SimulationAudit();
  readonly bus: MemoryBus;
  /** Every head that was sent. */
  readonly heads: Uint8Array[] = [];
  /** Counts by `name` and `name{label}`. */
  readonly counts: Map<string, number> = new Map();
  /** Hears every object before it leaves for the store. */
  onStored: (key: string, bytes: Uint8Array) => void = () => undefined;
  /** The running process's, or what the next one will find: a crash set here meets that one. */
  journal: MemoryJournal = new MemoryJournal();
  /** Where the next process has its authorities certified. */
  upstream: UpstreamAuthority;
  readonly #options: SimulationIssuerOptions;
  #life = new Life();
  #issuer: Issuer | undefined;
  #service: Service | undefined;

  constructor(options: SimulationIssuerOptions) {
    this.#options = options;
    this.upstream = options.upstream ?? selfSigned;
    this.bus = options.bus ?? new MemoryBus({ trustDomain: options.domain.trustDomain });
    this.#life.end();
  }

  /** The running issuer; undefined while there is none. */
  get running(): Issuer | undefined {
    return this.#life.ended ? undefined : this.#issuer;
  }

  /** The running issuer. @throws RangeError when there is none. */
  get issuer(): Issuer {
    if (this.running === undefined) throw new RangeError("no issuer runs");
    return this.running;
  }

  /** Starts a process on what the one before left. Rejects as the daemon would end. */
  async start(): Promise<Issuer> {
    const life = new Life();
    this.#life.end();
    this.#life = life;
    this.#issuer = undefined;
    const bus = this.bus.issuer(issuerMember);
    try {
      const issuer = await Issuer.start(this.#ports(life, bus));
      this.#service = await bus.serve((request) =>
        life.does(() => issuer.reception.handle(request)),
      );
      this.#issuer = issuer;
      return issuer;
    } catch (thrown) {
      this.kill();
      throw thrown;
    }
  }

  /** SIGKILL. */
  kill(): void {
    this.#life.end();
    void this.#service?.close();
    this.#issuer?.stop();
    this.#issuer = undefined;
    this.journal = this.journal.reopen();
  }

  /** Kills it, unless it is dead, and starts it again. */
  async restart(): Promise<Issuer> {
    this.kill();
    return await this.start();
  }

  #ports(life: Life, bus: IssuerBus): IssuerOptions {
    const { domain, clock, random, attestors, witnesses } = this.#options;
    const { journal, keys, log } = this;
    const audit = this.audit.open();
    return {
      trustDomain: domain.trustDomain,
      issuer: domain.issuer,
      trust: domain.trust(),
      signer: livingSigner(domain.signer, life),
      epoch: domain.epoch,
      bus: { servers: ["tls://127.0.0.1:4222"], brokerPins: ["0".repeat(64)] },
      busSeed: Buffer.from("seed of the bus"),
      settings: { ...settings, ...this.#options.settings },
      ...(attestors === undefined ? {} : { attestors }),
      ...(witnesses === undefined ? {} : { witnesses }),
      journal: {
        append: (records) => life.does(() => journal.append(records)),
        load: () => life.does(() => journal.load()),
      },
      store: {
        put: (key, bytes) =>
          life.does(() => {
            this.onStored(key, bytes);
            return bus.put(key, bytes);
          }),
        loadAll: () => life.does(() => bus.loadAll()),
      },
      broadcast: { broadcastHead: (bytes) => this.#broadcast(life, bus, bytes) },
      auditStream: {
        appendAudit: (issuer, bytes) => life.does(() => audit.appendAudit(issuer, bytes)),
        lastAudit: (issuer) => life.does(() => audit.lastAudit(issuer)),
      },
      auditHistory: { readAudit: () => this.audit.readAll() },
      eventStream: { publishEvent: (event) => life.does(() => bus.publishEvent(event)) },
      keys: {
        create: (authority) => life.does(() => keys.create(authority)),
        open: (authority) => life.does(() => keys.open(authority)),
        adopt: (authority, key) => life.does(() => keys.adopt(authority, key)),
        delete: (authority) => life.does(() => keys.delete(authority)),
      },
      upstream: this.upstream,
      clock: life.clock(clock),
      random,
      log,
      metrics: this.#metrics(),
    };
  }

  #broadcast(life: Life, bus: IssuerBus, bytes: Uint8Array): void {
    if (life.ended) return;
    this.heads.push(bytes);
    bus
      .broadcastHead(this.#options.domain.trustDomain, bytes)
      .catch((thrown: unknown) => this.log.debug({ reason: reasonOf(thrown) }, "a head was lost"));
  }

  #metrics(): Metrics {
    const count = (name: string): void => void this.counts.set(name, this.counted(name) + 1);
    return {
      increment(name, labels = {}) {
        count(name);
        for (const label of Object.values(labels)) count(`${name}{${label}}`);
      },
      set: () => undefined,
      observe: () => undefined,
    };
  }

  /** How often a counter was incremented, over restarts. */
  counted(name: string): number {
    return this.counts.get(name) ?? 0;
  }
}

function livingSigner(signer: EnvelopeSigner, life: Life): EnvelopeSigner {
  return { ...signer, sign: (bytes) => life.does(() => signer.sign(bytes)) };
}
