import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A child process spoken to by lines. */
export interface Child {
  readonly pid: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  send(line: string): void;
  /** SIGKILL; resolves when it is gone and reaped. */
  kill(): Promise<void>;
}

/** Runs a file of this folder, perhaps under another command such as `unshare`. */
export function startChild(
  file: string,
  args: readonly string[],
  under: readonly string[] = [],
): Child {
  const [command = process.execPath, ...rest] = [
    ...under,
    process.execPath,
    `${import.meta.dirname}/${file}`,
    ...args,
  ];
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"] });
  return speaking(child);
}

function speaking(child: ChildProcess): Child {
  if (child.stdout === null) throw new Error("the child has no stdout");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, "exit");
  return {
    pid: child.pid ?? 0,
    async line() {
      const next = await lines.next();
      if (next.done === true) throw new Error("the child ended without a word");
      return next.value;
    },
    send: (line) => void child.stdin?.write(`${line}\n`),
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
