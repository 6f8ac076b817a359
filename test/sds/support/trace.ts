import type { WorkloadView } from "../../../src/core/svid/workload-view.ts";
import type { SecretCatalog } from "../../../src/sds/secrets.ts";
import {
  openStream,
  type StreamEffect,
  type StreamInput,
  type StreamRules,
  type StreamState,
  step,
} from "../../../src/sds/stream.ts";
import { DiscoveryRequest } from "../../../src/wire/envoy/service/discovery/v3/discovery.ts";
import { catalog } from "./views.ts";

export type Request = Parameters<typeof DiscoveryRequest.fromPartial>[0];

/** Drives the reducer by hand and keeps what it wanted done as short lines, the golden form of a trace. */
export class Trace {
  readonly lines: string[] = [];
  readonly effects: StreamEffect[] = [];
  state: StreamState;
  /** Whether the socket takes a response at once; a client that does not read turns it off. */
  reading = true;
  /** Whether held SVIDs are let go at once. */
  turning = true;
  now = 0;
  readonly #catalog: SecretCatalog;
  readonly #rules: StreamRules;

  constructor(
    view: WorkloadView,
    options: { readonly rules?: Partial<StreamRules>; readonly catalog?: SecretCatalog } = {},
  ) {
    this.#catalog = options.catalog ?? catalog();
    this.#rules = { disableSpiffeValidation: false, unknownName: "wait", ...options.rules };
    this.state = openStream(1, this.#catalog.snapshot(view));
  }

  request(request: Request): readonly string[] {
    return this.#feed({
      kind: "request",
      request: DiscoveryRequest.fromPartial(request),
      now: this.now,
    });
  }

  /** What a client sends after it took the last response. */
  ack(names: readonly string[], nonce: string = this.nonce): readonly string[] {
    return this.request({ resourceNames: [...names], responseNonce: nonce });
  }

  nack(names: readonly string[], message = "bad"): readonly string[] {
    return this.request({
      resourceNames: [...names],
      responseNonce: this.nonce,
      errorDetail: { code: 13, message, details: [] },
    });
  }

  view(view: WorkloadView): readonly string[] {
    return this.#feed({ kind: "view", snapshot: this.#catalog.snapshot(view), now: this.now });
  }

  written(): readonly string[] {
    return this.#feed({ kind: "written", now: this.now });
  }

  released(hold: number): readonly string[] {
    return this.#feed({ kind: "released", hold, now: this.now });
  }

  /** The nonce of the last response. */
  get nonce(): string {
    return this.sends.at(-1)?.response.nonce ?? "";
  }

  get sends(): readonly (StreamEffect & { kind: "send" })[] {
    return this.effects.filter((effect) => effect.kind === "send");
  }

  #feed(input: StreamInput): readonly string[] {
    const from = this.lines.length;
    const [state, effects] = step(this.state, input, this.#rules);
    this.state = state;
    for (const effect of effects) {
      this.effects.push(effect);
      this.lines.push(lineOf(effect));
    }
    for (const effect of effects) {
      if (effect.kind === "send" && this.reading) this.written();
      if (effect.kind === "hold" && this.turning) this.released(effect.hold);
    }
    return this.lines.slice(from);
  }
}

function lineOf(effect: StreamEffect): string {
  switch (effect.kind) {
    case "open":
      return `open ${effect.node?.id ?? "-"}`;
    case "send":
      return `send ${effect.response.nonce} ${effect.response.secrets.map(label).join(" ")}`;
    case "hold":
      return `hold ${effect.hold}`;
    case "acknowledged":
      return `acknowledged ${effect.secrets.map(label).join(" ")}`;
    case "refused":
      return `refused ${effect.secrets.map(label).join(" ")}: ${effect.message}`;
    case "waiting":
      return `waiting ${effect.name} ${effect.reason}`;
    case "end":
      return `end ${effect.error.code}`;
  }
}

/** A secret by its name and what it was made from: `default=a1`, `ALL=1,2`. */
function label(secret: (StreamEffect & { kind: "acknowledged" })["secrets"][number]): string {
  const { name, source } = secret;
  return source.kind === "svid"
    ? `${name}=${source.serial}`
    : `${name}=${[...source.sequences.values()].join(",")}`;
}
