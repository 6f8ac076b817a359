import { NodeView, type Outcome } from "../../../src/events/node-view.ts";
import { now } from "../../core/envelope/support/keys.ts";
import { node } from "../../core/envelope/support/samples.ts";
import { newTrust } from "./signed-state.ts";

export const newView: () => NodeView = () => new NodeView({ trust: newTrust(), node });

/** Outcomes as a trace: `applied bundle.x`, `alarm rollback`. */
function trace(outcomes: readonly Outcome[]): readonly string[] {
  return outcomes.map((outcome) => {
    switch (outcome.kind) {
      case "applied":
      case "fetch":
        return `${outcome.kind} ${outcome.key.split(".")[0] ?? ""}`;
      case "head":
        return `head ${outcome.ref.term}/${outcome.ref.n}`;
      case "alarm":
        return `alarm ${outcome.code}`;
    }
  });
}

export const offer = (view: NodeView, bytes: Uint8Array, key?: string): readonly string[] =>
  trace(view.offer(bytes, now, key));
export const offerHead = (view: NodeView, bytes: Uint8Array): readonly string[] =>
  trace(view.offerHead(bytes, now));
