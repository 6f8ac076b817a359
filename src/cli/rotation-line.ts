import type { RotationProgress, Waiting } from "../wire/herald/v1/authorities.ts";
import { printable } from "./audit-line.ts";
import { isoOrNull, isoSeconds } from "./moment.ts";

const longestList = 3;
const meaning: Readonly<Record<string, string>> = {
  prepare: "the new root goes to every node and Envoy",
  reissue: "every SVID of the old authority is signed anew",
  remove: "every node and Envoy lets go of the old root",
  done: "nobody needs the old authority",
  aborted: "all is as it was before",
};

/** One line on where a rotation stands and whom it waits for; those who block come first. */
export function printProgress(progress: RotationProgress): string {
  const { step, kind, liveNodes, waiting, paused } = progress;
  const said = `${step.padEnd(8)} ${meaningOf(step, kind)}`.trimEnd();
  if (step === "done" || step === "aborted") return `${said}${printPassed(progress)}`;
  const name = paused ? `${said}; PAUSED` : said;
  if (waiting.length === 0) return `${name}; ${nodes(liveNodes)}, nobody to wait for`;
  const inOrder = [...waiting.filter((one) => one.blocks), ...waiting.filter((one) => !one.blocks)];
  const named = inOrder.slice(0, longestList).map(printWaiting);
  const more = inOrder.length > longestList ? [`and ${inOrder.length - longestList} more`] : [];
  return `${name}; ${nodes(liveNodes)}, waiting for ${[...named, ...more].join(", ")}`;
}

/** The same for programs: moments as text, null for never. */
export function progressJson(progress: RotationProgress): unknown {
  return { ...progress, waiting: progress.waiting.map(waitingJson) };
}

/** One of those who are waited for, for programs. */
export function waitingJson(waiting: Waiting): unknown {
  return { ...waiting, until: isoOrNull(waiting.until) };
}

/** One of those who are waited for, with the end of what it holds where that is known. */
export function printWaiting({ node, consumer, reason, blocks, lost, until }: Waiting): string {
  const who = [node, consumer].filter((part) => part !== "").join(" ");
  const end = until === 0n ? "" : `, until ${isoSeconds(Number(until))} at the latest`;
  const why = `${blocks ? "BLOCKS: " : lost ? "LOST: " : ""}${reason}${end}`;
  return printable(`${who === "" ? "an operator" : who} (${why})`);
}

function meaningOf(step: string, kind: string): string {
  return step === "done" && kind === "activate"
    ? "the new authority signs; the old one is still trusted"
    : (meaning[step] ?? "");
}

function printPassed({ passed }: RotationProgress): string {
  if (passed.length === 0) return "";
  const named = passed.map(({ node, step, why }) => `${node} (${why}, at ${step})`);
  return `; NOT WAITED FOR: ${named.join(", ")}`;
}

function nodes(live: number): string {
  return live === 1 ? "1 live node" : `${live} live nodes`;
}
