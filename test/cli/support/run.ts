import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { runCli } from "../../../src/cli/run.ts";
import type { Surroundings } from "../../../src/cli/surroundings.ts";
import type { Clock } from "../../../src/kit/clock.ts";

/** Noon of the day on which everything in these tests happens. */
export const noon: number = Date.UTC(2026, 10, 22, 12);

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each piece of stdout and how to press Ctrl-C. */
  readonly onOut?: (text: string, interrupt: () => void) => void;
  readonly uid?: number;
}

/** Holds still at noon. */
const heldClock: Clock = {
  now: () => noon,
  after: () => ({ cancel: () => {} }),
};

/** For looking at the commands without running one. */
export const silentSurroundings: Surroundings = {
  env: {},
  uid: 0,
  clock: heldClock,
  out: () => {},
  err: () => {},
  onInterrupt: () => () => {},
};

/** One command line in this process, with a clock that stands at noon. */
export async function herald(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const said = { out: "", err: "" };
  const handlers = new Set<() => void>();
  const code = await runCli(argv, {
    env: { XDG_RUNTIME_DIR: "/nonexistent", ...options.env },
    uid: options.uid ?? process.geteuid?.() ?? 0,
    clock: heldClock,
    out(piece) {
      said.out += piece;
      options.onOut?.(piece, () => {
        for (const handler of handlers) handler();
      });
    },
    err(piece) {
      said.err += piece;
    },
    onInterrupt(run) {
      handlers.add(run);
      return () => void handlers.delete(run);
    },
  });
  return { code, ...said };
}

/** `bin/herald` as a user runs it. */
export async function heraldProcess(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const child = spawn(resolve("bin/herald"), argv, {
    env: { ...process.env, XDG_RUNTIME_DIR: "/nonexistent", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number>((done) => child.once("close", (code) => done(code ?? -1)));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
}

/** A fresh folder with a path short enough for sockets; gone after the test that disposes of it. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "hcli-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
