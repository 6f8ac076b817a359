import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, type Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import type { WorkloadView } from "../../../src/core/svid/workload-view.ts";
import { type Clock, systemClock } from "../../../src/kit/clock.ts";
import { silentLog } from "../../../src/kit/log.ts";
import { sdsHandlers, sdsService } from "../../../src/sds/adapters/grpc.ts";
import type { SdsHandlerOptions } from "../../../src/sds/adapters/handler-options.ts";
import type {
  Caller,
  ConsumerId,
  ConsumerLog,
  PushedSecret,
  Refusal,
  ViewSource,
  ViewWatch,
} from "../../../src/sds/ports.ts";
import { SecretDiscoveryServiceClient } from "../../../src/wire/envoy/service/secret/v3/sds.ts";
import { catalog } from "./views.ts";

/** A view source that a test sets by hand. */
class FakeViews implements ViewSource {
  readonly #watchers = new Set<(view: WorkloadView) => void>();
  #view: WorkloadView;
  /** Set: the next callers cannot be attested. */
  refusal: Error | undefined;
  /** Set: attestation waits for it. */
  gate: Promise<void> = Promise.resolve();
  /** How many callers have come so far. */
  attested = 0;

  constructor(view: WorkloadView) {
    this.#view = view;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  set(view: WorkloadView): void {
    this.#view = view;
    for (const watcher of this.#watchers) watcher(view);
  }

  async watch(_caller: Caller, onChange: (view: WorkloadView) => void): Promise<ViewWatch> {
    this.attested += 1;
    await this.gate;
    if (this.refusal !== undefined) throw this.refusal;
    this.#watchers.add(onChange);
    return { current: () => this.#view, close: () => void this.#watchers.delete(onChange) };
  }
}

/** Keeps every report as a short line, and lets a test wait for one. */
class FakeConsumers implements ConsumerLog {
  readonly lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  opened(consumer: ConsumerId): void {
    this.#add(`opened ${consumer.node}`);
  }

  sent(_consumer: ConsumerId, secrets: readonly PushedSecret[]): void {
    this.#add(`sent ${secrets.map((one) => one.name).join(" ")}`);
  }

  acknowledged(_consumer: ConsumerId, secrets: readonly PushedSecret[]): void {
    this.#add(`acknowledged ${secrets.map((one) => one.name).join(" ")}`);
  }

  refused(_consumer: ConsumerId, refusal: Refusal): void {
    this.#add(`refused ${refusal.name}: ${refusal.message}`);
  }

  closed(consumer: ConsumerId): void {
    this.#add(`closed ${consumer.node}`);
  }

  async heard(line: string): Promise<void> {
    while (!this.lines.includes(line)) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #add(line: string): void {
    this.lines.push(line);
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** A caller that a test can let die. */
class FakeCaller implements Caller {
  readonly id = "pid 42";
  readonly pid = 42;
  alive = true;

  isAlive(): boolean {
    return this.alive;
  }
}

/** A real server on a socket in a fresh folder, with a client. */
export interface Rig extends AsyncDisposable {
  readonly client: SecretDiscoveryServiceClient;
  readonly views: FakeViews;
  readonly consumers: FakeConsumers;
  readonly caller: FakeCaller;
  readonly address: string;
}

export async function rig(
  view: WorkloadView,
  options: Partial<SdsHandlerOptions> = {},
): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "herald-sds-"));
  const address = `unix://${folder}/sds.sock`;
  const views = new FakeViews(view);
  const consumers = new FakeConsumers();
  const caller = new FakeCaller();
  const clock: Clock = systemClock;
  const server = new Server();
  const handlers = sdsHandlers({
    callerOf: () => caller,
    views,
    consumers,
    secrets: catalog(),
    clock,
    log: silentLog,
    ...options,
  });
  server.addService(sdsService, handlers);
  await bind(server, address);
  const client = new SecretDiscoveryServiceClient(address, credentials.createInsecure());
  return {
    client,
    views,
    consumers,
    caller,
    address,
    [Symbol.asyncDispose]: () => {
      client.close();
      server.forceShutdown();
      rmSync(folder, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

async function bind(server: Server, address: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

/** A stream's messages one by one, and its end. */
export interface Reader<Message> {
  next(): Promise<Message>;
  /** The gRPC status code the stream ended with. */
  readonly ended: Promise<{ readonly code: number; readonly details: string }>;
  readonly received: readonly Message[];
}

interface Stream<Message> {
  on(event: "data", listener: (message: Message) => void): unknown;
  on(event: "error", listener: () => void): unknown;
  on(
    event: "status",
    listener: (status: { code: number; details: string; metadata: Metadata }) => void,
  ): unknown;
}

export function reader<Message>(stream: Stream<Message>): Reader<Message> {
  const received: Message[] = [];
  const waiting: (() => void)[] = [];
  let read = 0;
  stream.on("data", (message) => {
    received.push(message);
    waiting.shift()?.();
  });
  stream.on("error", () => {});
  const ended = new Promise<{ code: number; details: string }>((resolve) =>
    stream.on("status", resolve),
  );
  return {
    received,
    ended,
    async next() {
      if (received.length <= read) await new Promise<void>((resolve) => waiting.push(resolve));
      const message = received[read];
      if (message === undefined) throw new TypeError("woken without a message");
      read += 1;
      return message;
    },
  };
}
