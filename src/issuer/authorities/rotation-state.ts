import type {
  PassedNode,
  RotationState,
  RotationStep,
} from "../../core/envelope/authority-payloads.ts";
import { rotationKey } from "../../core/envelope/object-keys.ts";
import type { StateObject } from "../../core/envelope/payloads.ts";
import { IssuerError } from "../error.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";

/** A rotation as it stands, or will stand, in whatever version of its object. */
export type RotationFacts = Omit<RotationState, keyof StateObject>;

/** So many of those that were passed by are kept in the state; the audit chain names them all. */
const mostPassed = 200;

/** The rotation under way; undefined when there is none. */
export function runningRotation(state: SignedState): RotationState | undefined {
  const rotation = state.get("rotation-progress", rotationKey);
  return rotation === undefined || hasEnded(rotation.step) ? undefined : rotation;
}

/** Is there nothing left to do? */
export function hasEnded(step: RotationStep): boolean {
  return step === "done" || step === "aborted";
}

/** @throws IssuerError ROTATION_RUNNING */
export function refuseSecond(state: SignedState): void {
  const running = runningRotation(state);
  if (running === undefined) return;
  throw new IssuerError(
    "ROTATION_RUNNING",
    `rotation ${running.rotation} is under way (step ${running.step}${running.paused ? ", paused" : ""}); \`herald ca rotate --watch\` follows it, --abort ends it before its activation`,
  );
}

/** Writes the rotation with a step begun. It goes before the bundle in a change: that one's version is then above the step's. */
export function stepChange(rotation: RotationFacts, step: RotationStep): Change {
  return {
    kind: "rotation-progress",
    key: rotationKey,
    content: (stamp) => ({
      ...rotation,
      ...stamp,
      step,
      stepAt: stamp.at,
      gateFrom: stamp.version,
    }),
  };
}

/** Writes the rotation within its step. */
export function sameStepChange(rotation: RotationFacts): Change {
  return {
    kind: "rotation-progress",
    key: rotationKey,
    content: (stamp) => ({ ...rotation, ...stamp }),
  };
}

/** With more nodes passed by. */
export function withPassed(rotation: RotationFacts, passed: readonly PassedNode[]): RotationFacts {
  return { ...rotation, passed: [...rotation.passed, ...passed].slice(0, mostPassed) };
}

/** As it begins. */
export function newRotation(
  of: Pick<RotationFacts, "rotation" | "kind" | "step" | "taints" | "from" | "to" | "startedAt">,
): RotationFacts {
  return { ...of, stepAt: of.startedAt, gateFrom: null, paused: false, past: [], passed: [] };
}
