import type { ServerWritableStream } from "@grpc/grpc-js";
import type { WorkloadView } from "../../core/svid/workload-view.ts";
import type { Timer } from "../../kit/clock.ts";
import { WorkloadApiError } from "../error.ts";
import type { Caller, ClientId, ViewWatch, X509Method } from "../ports.ts";
import {
  newStream,
  type StreamEffect,
  type StreamInput,
  type StreamState,
  step,
} from "../stream.ts";
import { sayX509 } from "../x509-messages.ts";
import { callerOf, requireHeader, watchFor } from "./calling.ts";
import type { WorkloadApiOptions } from "./handler-options.ts";
import { asWorkloadApiError, statusOf } from "./status.ts";
import type { StreamPlaces } from "./stream-places.ts";

/** What one stream is, beside the service's options. */
export interface X509StreamOptions extends WorkloadApiOptions {
  readonly method: X509Method;
  /** Not used by any other stream of this process. */
  readonly stream: number;
  readonly places: StreamPlaces;
}

/** Runs one FetchX509SVID or FetchX509Bundles call until either side ends it; every way out releases the watch, once. */
export class X509Stream {
  readonly #call: ServerWritableStream<unknown, Buffer>;
  readonly #options: X509StreamOptions;
  readonly #inbox: StreamInput[] = [];
  readonly #stop = (): void =>
    this.#fail(new WorkloadApiError("STOPPING", "the daemon is stopping"));
  #state: StreamState = newStream;
  #caller: Caller | undefined;
  #watch: ViewWatch | undefined;
  #client: ClientId | undefined;
  #giveBack: (() => void) | undefined;
  #stepping = false;
  #over = false;
  #patience: Timer | undefined;

  constructor(call: ServerWritableStream<unknown, Buffer>, options: X509StreamOptions) {
    this.#call = call;
    this.#options = options;
  }

  /** Checks, attests, and says the first message at once (WAPI-05). Never rejects. */
  async run(): Promise<void> {
    const { signal, log, places } = this.#options;
    this.#call.on("cancelled", () => this.#release());
    this.#call.on("close", () => this.#release());
    signal?.addEventListener("abort", this.#stop);
    if (signal?.aborted === true) this.#stop();
    try {
      requireHeader(this.#call);
      this.#caller = callerOf(this.#call, this.#options);
      this.#giveBack = places.take(this.#caller);
      const watch = await watchFor(this.#caller, this.#options, (view) => this.#onView(view));
      this.#begin(watch, this.#caller);
    } catch (thrown) {
      this.#fail(asWorkloadApiError(thrown, log));
    }
  }

  #begin(watch: ViewWatch, caller: Caller): void {
    // The client may have gone while its process was being attested.
    if (this.#over) {
      watch.close();
      return;
    }
    this.#watch = watch;
    const { method, stream } = this.#options;
    this.#client = { caller: caller.id, pid: caller.pid, stream, method };
    this.#options.clients.opened(this.#client);
    this.#onView(watch.current());
  }

  #onView(view: WorkloadView): void {
    // Before the watch is there, `current()` will tell.
    if (this.#watch === undefined) return;
    const { method, check, clock, verifiersWithoutIdentity = false } = this.#options;
    try {
      const say = sayX509(method, view, { check, verifiersWithoutIdentity, now: clock.now() });
      this.#feed({ kind: "say", say });
    } catch (thrown) {
      // One stream's trouble must not keep the view from the other watchers.
      this.#fail(asWorkloadApiError(thrown, this.#options.log));
    }
  }

  /** One input at a time, to its end: what a report sets off elsewhere may come back as a new view. */
  #feed(input: StreamInput): void {
    this.#inbox.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        this.#take(next);
      }
    } finally {
      this.#stepping = false;
    }
  }

  #take(input: StreamInput): void {
    if (this.#over) return;
    const [state, effects] = step(this.#state, input);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: StreamEffect): void {
    if (this.#over) return;
    if (effect.kind === "end") this.#fail(effect.error);
    if (effect.kind === "wait") this.#wait(effect.error);
    if (effect.kind === "send") this.#send(effect.bytes);
    if (effect.kind === "flushed" && this.#client !== undefined) {
      this.#options.clients.flushed(this.#client, effect.versions);
    }
  }

  /** A client that asks once and goes would otherwise be told "not yet" in the milliseconds in which its first SVID is signed. */
  #wait(error: WorkloadApiError): void {
    const { clock, patienceMs = 0 } = this.#options;
    if (patienceMs === 0) this.#fail(error);
    else
      this.#patience ??= clock.after(patienceMs, () =>
        this.#feed({ kind: "out-of-patience", error }),
      );
  }

  #send(bytes: Buffer): void {
    // SPIRE attests once a stream; the caller is looked at again before every message here (WAPI-25).
    if (this.#caller?.isAlive() !== true) {
      this.#fail(new WorkloadApiError("CALLER_GONE", "the calling process has ended"));
      return;
    }
    this.#call.write(bytes, () => this.#feed({ kind: "written" }));
  }

  #fail(error: WorkloadApiError): void {
    if (this.#over) return;
    this.#release();
    // grpc-js takes the status of a stream from its error event.
    this.#call.emit("error", statusOf(error));
  }

  #release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#patience?.cancel();
    this.#options.signal?.removeEventListener("abort", this.#stop);
    this.#giveBack?.();
    this.#watch?.close();
    if (this.#client !== undefined) this.#options.clients.closed(this.#client);
  }
}
