import fc from "fast-check";
import { expect, test } from "vitest";
import type { WorkloadView } from "../../src/core/svid/workload-view.ts";
import { Trace } from "./support/trace.ts";
import { bundle, catalog, own, svid, view } from "./support/views.ts";

const names = [
  "default",
  "ROOTCA",
  "ALL",
  `spiffe://${own}`,
  `spiffe://${own}/web`,
  "spiffe://p.test",
  "?",
  "*",
];

/** Small worlds, so that the same content comes round again. */
const anyView: fc.Arbitrary<WorkloadView> = fc
  .record({
    web: fc.option(fc.integer({ min: 1, max: 3 })),
    root: fc.integer({ min: 1, max: 2 }),
    partner: fc.option(fc.integer({ min: 1, max: 2 })),
    synced: fc.boolean(),
  })
  .map(({ web, root, partner, synced }) =>
    view({
      svids: web === null ? [] : [svid("web", `a${web}`)],
      bundles: [bundle(own, root), ...(partner === null ? [] : [bundle("p.test", partner)])],
      synced,
    }),
  );

type Move =
  | { readonly kind: "view"; readonly view: WorkloadView }
  | {
      readonly kind: "request";
      readonly names: readonly string[];
      readonly answer: "ack" | "nack" | "stale" | "none";
    }
  | { readonly kind: "written" };

const anyMove: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ kind: fc.constant("view" as const), view: anyView }),
  fc.record({
    kind: fc.constant("request" as const),
    names: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 4 }),
    answer: fc.constantFrom("ack", "nack", "stale", "none"),
  }),
  fc.constant({ kind: "written" as const }),
);

/** Plays the moves against the reducer and holds what a client would hold. */
class Play {
  readonly trace: Trace;
  readonly held = new Map<string, string>();
  asked: readonly string[] = [];
  now: WorkloadView;
  #seen = 0;

  constructor(start: WorkloadView) {
    this.now = start;
    this.trace = new Trace(start, { catalog: catalog() });
    this.trace.reading = false;
  }

  make(move: Move): void {
    if (move.kind === "view") {
      this.now = move.view;
      this.trace.view(move.view);
    } else if (move.kind === "request") {
      // What the client says again it has lost; what it keeps subscribing to it keeps.
      for (const name of this.held.keys())
        if (!this.#keeps(name, move.names)) this.held.delete(name);
      this.asked = move.names;
      const nonce = { ack: this.trace.nonce, nack: this.trace.nonce, stale: "x", none: "" }[
        move.answer
      ];
      const refusal = { code: 13, message: "no", details: [] };
      this.trace.request({
        resourceNames: [...move.names],
        responseNonce: nonce,
        ...(move.answer === "nack" ? { errorDetail: refusal } : {}),
      });
    } else if (this.trace.state.writing) this.trace.written();
    this.#receive();
  }

  #keeps(name: string, next: readonly string[]): boolean {
    if (next.includes(name)) return this.asked.includes(name);
    return next.includes("*") && name.startsWith("spiffe://");
  }

  #receive(): void {
    for (const { response } of this.trace.sends.slice(this.#seen)) {
      expect(response.secrets.length).toBeGreaterThan(0);
      expect(new Set(response.secrets.map((one) => one.name)).size).toBe(response.secrets.length);
      for (const { name, version } of response.secrets) {
        expect(this.held.get(name)).not.toBe(version);
        this.held.set(name, version);
      }
    }
    this.#seen = this.trace.sends.length;
  }

  /** Lets everything flow out. */
  drain(): void {
    while (this.trace.state.writing) this.make({ kind: "written" });
  }
}

test("XDS-07 SOTW-09 XDS-08 whatever happens: nothing twice unasked, no empty response, no nonce again; XDS-12 the newest state arrives", () => {
  fc.assert(
    fc.property(anyView, fc.array(anyMove, { maxLength: 40 }), (start, moves) => {
      const play = new Play(start);
      // The first request names something: the wildcard's own rules have their table.
      play.make({ kind: "request", names: ["default"], answer: "none" });
      for (const move of moves) play.make(move);
      play.drain();

      const nonces = play.trace.sends.map((send) => send.response.nonce);
      expect(new Set(nonces).size).toBe(nonces.length);
      const snapshot = catalog().snapshot(play.now);
      const asked = { validator: "spiffe", now: 0, trusted: false } as const;
      const covered = play.asked.includes("*")
        ? [...play.asked, ...snapshot.everything]
        : play.asked;
      for (const name of covered) {
        const found = snapshot.find(name, asked);
        if (found.kind === "secret")
          expect([name, play.held.get(name)]).toEqual([name, found.secret.version]);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("what is told as acknowledged was sent, and is told once for each version of its source", () => {
  fc.assert(
    fc.property(anyView, fc.array(anyMove, { maxLength: 40 }), (start, moves) => {
      const play = new Play(start);
      play.make({ kind: "request", names: ["ROOTCA", "default"], answer: "none" });
      for (const move of moves) play.make(move);
      const sent = play.trace.sends.flatMap((send) =>
        send.response.secrets.map((one) => one.version),
      );
      for (const effect of play.trace.effects) {
        if (effect.kind !== "acknowledged" && effect.kind !== "refused") continue;
        for (const one of effect.secrets) expect(sent).toContain(one.version);
      }
    }),
    { numRuns: 500 },
  );
});
