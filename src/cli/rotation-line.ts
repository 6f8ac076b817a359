import type { RotationProgress, Waiting } from "../wire/herald/v1/authorities.ts";

const longestList = 3;
const meaning: Readonly<Record<string, string>> = {
  prepare: "the new root goes to every node and Envoy",
  activate: "the new authority signs",
  reissue: "every SVID is signed anew",
  done: "the new authority is in use everywhere",
};

/** One line on where a rotation stands and whom it waits for; those who block come first. */
export function printProgress(progress: RotationProgress): string {
  const { step, liveNodes, waiting } = progress;
  const said = `${step.padEnd(8)} ${meaning[step] ?? ""}`.trimEnd();
  if (step === "done") return said;
  if (waiting.length === 0) return `${said}; ${nodes(liveNodes)}, nobody to wait for`;
  const inOrder = [...waiting.filter((one) => one.blocks), ...waiting.filter((one) => !one.blocks)];
  const named = inOrder.slice(0, longestList).map(printWaiting);
  const more = inOrder.length > longestList ? [`and ${inOrder.length - longestList} more`] : [];
  return `${said}; ${nodes(liveNodes)}, waiting for ${[...named, ...more].join(", ")}`;
}

function printWaiting({ node, consumer, reason, blocks }: Waiting): string {
  const who = consumer === "" ? node : `${node} ${consumer}`;
  return `${who} (${blocks ? "BLOCKS: " : ""}${reason})`;
}

function nodes(live: number): string {
  return live === 1 ? "1 live node" : `${live} live nodes`;
}
