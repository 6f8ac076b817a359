import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { WorkloadView } from "../../core/svid/workload-view.ts";
import { encodeResponse } from "../encode.ts";
import { SdsError } from "../error.ts";
import type { Caller, ConsumerId, ViewWatch } from "../ports.ts";
import {
  openStream,
  type StreamEffect,
  type StreamInput,
  type StreamState,
  step,
} from "../stream.ts";
import { callerOf, watchFor } from "./calling.ts";
import type { ReceivedRequest, SdsCallOptions } from "./handler-options.ts";
import { asSdsError, statusOf } from "./status.ts";

/** Runs one StreamSecrets call until either side ends it; every way out releases the watch, once (XDS-13). */
export class SecretStream {
  readonly #call: ServerDuplexStream<ReceivedRequest, Buffer>;
  readonly #options: SdsCallOptions;
  readonly #stream: number;
  readonly #inbox: StreamInput[] = [];
  readonly #stop = (): void => this.#fail(new SdsError("STOPPING", "the daemon is stopping"));
  #caller: Caller | undefined;
  #watch: ViewWatch | undefined;
  #state: StreamState | undefined;
  #consumer: ConsumerId | undefined;
  #stepping = false;
  #over = false;

  constructor(
    call: ServerDuplexStream<ReceivedRequest, Buffer>,
    options: SdsCallOptions,
    stream: number,
  ) {
    this.#call = call;
    this.#options = options;
    this.#stream = stream;
  }

  /** Attests the caller, then follows the stream. Never rejects. */
  async run(): Promise<void> {
    const { signal, log } = this.#options;
    this.#call.on("cancelled", () => this.#release());
    this.#call.on("close", () => this.#release());
    signal?.addEventListener("abort", this.#stop);
    if (signal?.aborted === true) this.#stop();
    try {
      this.#caller = callerOf(this.#call, this.#options);
      const watch = await watchFor(this.#caller, this.#options, (view) => this.#onView(view));
      this.#begin(watch);
    } catch (thrown) {
      this.#fail(asSdsError(thrown, log));
    }
  }

  #begin(watch: ViewWatch): void {
    // The client may have gone while its process was being attested (EDGE-08).
    if (this.#over) {
      watch.close();
      return;
    }
    this.#watch = watch;
    this.#state = openStream(this.#stream, this.#options.secrets.snapshot(watch.current()));
    this.#call.on("data", (received: ReceivedRequest) => this.#onRequest(received));
    this.#call.on("end", () => this.#end());
  }

  #onView(view: WorkloadView): void {
    // Before the watch is there, `current()` will tell.
    if (this.#state === undefined) return;
    try {
      const snapshot = this.#options.secrets.snapshot(view);
      this.#feed({ kind: "view", snapshot, now: this.#now() });
    } catch (thrown) {
      // One stream's trouble must not keep the view from the other watchers.
      this.#fail(asSdsError(thrown, this.#options.log));
    }
  }

  #onRequest(received: ReceivedRequest): void {
    if (received instanceof SdsError) this.#fail(received);
    else this.#feed({ kind: "request", request: received, now: this.#now() });
  }

  /** One input at a time, to its end: what a report sets off elsewhere may come back as a new view (XDS-12). */
  #feed(input: StreamInput): void {
    this.#inbox.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        this.#take(next);
      }
    } catch (thrown) {
      this.#fail(asSdsError(thrown, this.#options.log));
    } finally {
      this.#stepping = false;
    }
  }

  #take(input: StreamInput): void {
    if (this.#over || this.#state === undefined) return;
    const [state, effects] = step(this.#state, input, this.#options.rules);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: StreamEffect): void {
    if (this.#over) return;
    if (effect.kind === "open") this.#open(effect.node?.id ?? "");
    if (effect.kind === "end") this.#fail(effect.error);
    if (effect.kind === "hold") {
      // The other streams of this turn write their bundles first; frames leave in the order of the writes (SDS-07).
      setImmediate(() => this.#feed({ kind: "released", hold: effect.hold, now: this.#now() }));
    }
    const consumer = this.#consumer;
    if (consumer !== undefined) this.#report(effect, consumer);
  }

  #open(node: string): void {
    const caller = this.#caller;
    if (caller === undefined) return;
    this.#consumer = { caller: caller.id, pid: caller.pid, stream: this.#stream, node };
    this.#options.consumers.opened(this.#consumer);
  }

  #report(effect: StreamEffect, consumer: ConsumerId): void {
    const { consumers, log } = this.#options;
    if (effect.kind === "send") this.#send(effect, consumer);
    if (effect.kind === "acknowledged") consumers.acknowledged(consumer, effect.secrets);
    if (effect.kind === "refused") {
      const { secrets, message } = effect;
      log.warn({ ...consumer, names: secrets.map((one) => one.name), message }, "Envoy refused");
      for (const secret of secrets) consumers.refused(consumer, { ...secret, message });
    }
    if (effect.kind === "waiting") {
      const { name, reason, detail } = effect;
      const level = reason === "unsynced" ? "debug" : "warn";
      log[level]({ ...consumer, name, reason, detail }, "a secret is asked for and not sent");
    }
  }

  #send(effect: StreamEffect & { kind: "send" }, consumer: ConsumerId): void {
    if (this.#caller?.isAlive() !== true) {
      this.#fail(new SdsError("CALLER_GONE", "the process that opened this connection has ended"));
      return;
    }
    const { secrets } = effect.response;
    // The callback comes when HTTP/2 has taken the bytes: the only room for waiting responses is this one (EDGE-16).
    this.#call.write(encodeResponse(effect.response), () => {
      this.#feed({ kind: "written", now: this.#now() });
    });
    const reports = secrets.map(({ name, version, source }) => ({ name, version, source }));
    this.#options.consumers.sent(consumer, reports);
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #fail(error: SdsError): void {
    if (this.#over) return;
    this.#release();
    // grpc-js takes the status of a stream from its error event.
    this.#call.emit("error", statusOf(error));
  }

  #end(): void {
    if (this.#over) return;
    this.#release();
    this.#call.end();
  }

  #release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.signal?.removeEventListener("abort", this.#stop);
    this.#watch?.close();
    if (this.#consumer !== undefined) this.#options.consumers.closed(this.#consumer);
  }
}
