import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { ReadyLine } from "../../src/daemon/dev.ts";
import { natsServerPath } from "./parts.ts";

const herald = fileURLToPath(new URL("../../bin/herald", import.meta.url));

/** Not there before the node has enrolled. */
const svidsHeld = z.object({ svids: z.number().default(0) });

/** How a command ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `herald dev` of its own, as a user runs it: by bin/herald, in a temporary folder. */
export class Dev implements AsyncDisposable {
  readonly dir: string;
  readonly ready: ReadyLine;
  readonly #child: ChildProcess;
  #entries = 0;

  private constructor(
    dir: string,
    parts: { readonly ready: ReadyLine; readonly child: ChildProcess },
  ) {
    this.dir = dir;
    this.ready = parts.ready;
    this.#child = parts.child;
  }

  /** Resolves with its ready line. @throws {Error} with its last words when it ends instead */
  static async start(): Promise<Dev> {
    const dir = mkdtempSync(join(tmpdir(), "hd-"));
    // Others may pass through to the socket; what is secret lies in folders of its own.
    chmodSync(dir, 0o711);
    const args = ["dev", "--dir", dir, "--trust-domain", "example.org", "--json"];
    const child = spawn(herald, args, { stdio: ["ignore", "pipe", "pipe"], env: envOf(dir) });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words += text;
    });
    const first = once(createInterface({ input: child.stdout }), "line");
    const ended = once(child, "close").then(() => undefined);
    const told = await Promise.race([first, ended]);
    if (told === undefined) {
      rmSync(dir, { recursive: true, force: true });
      throw new Error(`herald dev ended (${child.exitCode}): ${words.slice(-2000)}`);
    }
    return new Dev(dir, { ready: JSON.parse(String(told[0])) as ReadyLine, child });
  }

  /** Runs another `herald` command against this issuer. Never rejects for what the command says. */
  async herald(...args: readonly string[]): Promise<Ended> {
    const env = { ...envOf(this.dir), HERALD_ADMIN: this.ready.admin };
    return await run(herald, args, env);
  }

  /** The same for a command that must succeed. Resolves with its standard output. */
  async mustHerald(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.herald(...args);
    if (status !== 0) throw new Error(`herald ${args.join(" ")} ended with ${status}: ${stderr}`);
    return stdout;
  }

  /**
   * Creates an entry for the processes of this user. Resolves when the node holds its SVID: a client that asks only once, and earlier, may be told
   * UNAVAILABLE (not read yet) or PERMISSION_DENIED (not heard of yet).
   */
  async createEntry(spiffeId: string): Promise<void> {
    const selector = `unix:uid:${process.getuid?.() ?? 0}`;
    await this.mustHerald("entry", "create", "--spiffe-id", spiffeId, "--selector", selector);
    this.#entries += 1;
    const deadline = performance.now() + 30_000;
    while ((await this.#held()) < this.#entries) {
      if (performance.now() > deadline) throw new Error(`the node did not get ${spiffeId} in 30 s`);
      await sleep(20);
    }
  }

  /** How many SVIDs the node holds. */
  async #held(): Promise<number> {
    const response = await fetch(`${this.ready.metrics}/healthz`);
    return svidsHeld.parse(await response.json()).svids;
  }

  /** Ends it and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, "close");
      this.#child.kill("SIGTERM");
      await gone;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ended> {
  return await new Promise((resolve) => {
    execFile(command, args, { encoding: "utf8", env }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === "number" ? error.code : null;
      resolve({ status, stdout, stderr });
    });
  });
}

/** The pointer that `herald dev` leaves for later commands stays in the folder too. */
function envOf(dir: string): NodeJS.ProcessEnv {
  return { ...process.env, HERALD_NATS_SERVER: natsServerPath(), XDG_RUNTIME_DIR: dir };
}
