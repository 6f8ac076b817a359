import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Who runs where, so that a figure for one core is one. */
export interface Cores {
  /** What to put before the command that is measured. */
  readonly measured: readonly string[];
  /** Says it in the notes. */
  readonly note: string;
  /** Lets this process run everywhere again. */
  readonly release: () => void;
}

/** Keeps the first core for what is measured; this process and its other children move to the rest. Needs taskset (util-linux) and two cores. */
export function reserveCore(): Cores {
  const all = allowedCores();
  const [first, ...rest] = coresOf(all);
  try {
    if (first === undefined || rest.length === 0) throw new Error("one core only");
    moveTo(rest.join(","));
    return {
      measured: ["taskset", "-c", String(first)],
      note: `Pinned to core ${first} of ${rest.length + 1}; NATS and the load run on the rest.`,
      release: () => moveTo(all),
    };
  } catch {
    return {
      measured: [],
      note: "Not pinned: taskset is missing or there is one core only, so all share what there is.",
      release: () => undefined,
    };
  }
}

/** CPU time that a process has used, all its threads, in milliseconds. Linux counts it in steps of 10 ms. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function allowedCores(): string {
  const status = readFileSync("/proc/self/status", "utf8");
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "0";
}

/** `0-2,5` is 0, 1, 2, 5. */
function coresOf(list: string): readonly number[] {
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}

function moveTo(cores: string): void {
  execFileSync("taskset", ["-a", "-c", "-p", cores, String(process.pid)], { stdio: "ignore" });
}
