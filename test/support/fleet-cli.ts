import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect } from "vitest";
import { heraldMain } from "../../demo/fleet.ts";

/** What a program that ran to its end said and did. */
export interface Ran {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `herald` in a process of its own until it ends; after `withinMs` it is told to. */
export async function runHerald(
  args: readonly string[],
  {
    env = {},
    withinMs = 60_000,
  }: { readonly env?: NodeJS.ProcessEnv; readonly withinMs?: number } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [heraldMain, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  clearTimeout(timer);
  return { code, out, err };
}

/** What happened and what to do, told on standard error as to a person, and the exit code of a failure. */
export function expectTold(
  { code, err }: Ran,
  told: { readonly happened: RegExp; readonly cure: RegExp },
): void {
  expect(err).toMatch(told.happened);
  expect(err).toMatch(told.cure);
  // No stack trace.
  expect(err).not.toMatch(/^ +at /m);
  expect(code).toBe(1);
}
