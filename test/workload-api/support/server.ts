import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import type { WorkloadView } from "../../../src/core/svid/workload-view.ts";
import { systemClock } from "../../../src/kit/clock.ts";
import { silentLog } from "../../../src/kit/log.ts";
import { SpiffeWorkloadAPIClient } from "../../../src/wire/spiffe/workload/workloadapi.ts";
import {
  workloadApiHandlers,
  workloadApiService,
} from "../../../src/workload-api/adapters/grpc.ts";
import type { WorkloadApiOptions } from "../../../src/workload-api/adapters/handler-options.ts";
import type {
  Caller,
  ClientId,
  ClientLog,
  DeliveredVersions,
  ViewSource,
  ViewWatch,
} from "../../../src/workload-api/ports.ts";

/** A view source that a test sets by hand. */
class FakeViews implements ViewSource {
  readonly #watchers = new Set<(view: WorkloadView) => void>();
  #view: WorkloadView;
  /** Set: the next callers cannot be attested. */
  refusal: Error | undefined;

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

  watch(_caller: Caller, onChange: (view: WorkloadView) => void): Promise<ViewWatch> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    this.#watchers.add(onChange);
    return Promise.resolve({
      current: () => this.#view,
      close: () => void this.#watchers.delete(onChange),
    });
  }
}

/** Keeps every report as a short line, and lets a test wait for one. */
class FakeClients implements ClientLog {
  readonly lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  opened({ method }: ClientId): void {
    this.#add(`opened ${method}`);
  }

  flushed(_client: ClientId, { svids, sequences }: DeliveredVersions): void {
    this.#add(`flushed ${[...svids.map((one) => one.serial), ...sequences.values()].join(" ")}`);
  }

  closed({ method }: ClientId): void {
    this.#add(`closed ${method}`);
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
  readonly client: SpiffeWorkloadAPIClient;
  readonly views: FakeViews;
  readonly clients: FakeClients;
  readonly caller: FakeCaller;
  readonly address: string;
}

export async function rig(
  view: WorkloadView,
  options: Partial<WorkloadApiOptions> = {},
): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "herald-wapi-"));
  const address = `unix://${folder}/api.sock`;
  const views = new FakeViews(view);
  const clients = new FakeClients();
  const caller = new FakeCaller();
  const server = new Server();
  const handlers = workloadApiHandlers({
    callerOf: () => caller,
    views,
    clients,
    check: () => undefined,
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  server.addService(workloadApiService, handlers);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  const client = new SpiffeWorkloadAPIClient(address, credentials.createInsecure());
  return {
    client,
    views,
    clients,
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

/** The header of WEP-04, with these values. */
export function header(...values: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (const value of values) metadata.add("workload.spiffe.io", value);
  return metadata;
}

interface Stream<Message> {
  on(event: "data", listener: (message: Message) => void): unknown;
  on(event: "error", listener: () => void): unknown;
  on(event: "status", listener: (status: { readonly code: number }) => void): unknown;
}

/** A stream's messages one by one, and the gRPC status code it ended with. */
export interface Reader<Message> {
  next(): Promise<Message>;
  readonly ended: Promise<number>;
  readonly received: readonly Message[];
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
  const ended = new Promise<number>((resolve) => stream.on("status", ({ code }) => resolve(code)));
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
