import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { vi } from "vitest";
import { z } from "zod";
import { envoyPath } from "../../support/parts.ts";

const certificates = z.object({
  certificates: z.array(
    z.object({
      cert_chain: z.array(
        z.object({ subject_alt_names: z.array(z.object({ uri: z.string().optional() })) }),
      ),
    }),
  ),
});

/** An Envoy that runs, and its admin page. */
export class StartedEnvoy implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #admin: string;

  private constructor(child: ChildProcess, admin: string) {
    this.#child = child;
    this.#admin = admin;
  }

  /** Resolves when its admin page answers; its configuration lets the system choose the port. */
  static async start(configFile: string): Promise<StartedEnvoy> {
    const args = ["-c", configFile, "--disable-hot-restart", "--concurrency", "1"];
    const child = spawn(envoyPath(), args, { stdio: ["ignore", "ignore", "pipe"] });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line);
      const port = /admin address: 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      child.stderr.resume();
      return new StartedEnvoy(child, `http://127.0.0.1:${port}`);
    }
    throw new Error(`Envoy ended: ${said.slice(-5).join("\n")}`);
  }

  /** SPIFFE IDs of the certificates that it shows to others, when there are any. */
  async certificateIds(): Promise<readonly string[]> {
    return await vi.waitFor(
      async () => {
        const response = await fetch(`${this.#admin}/certs`);
        const { certificates: held } = certificates.parse(await response.json());
        const chains = held.flatMap((one) => one.cert_chain);
        const ids = chains.flatMap((one) => one.subject_alt_names).map(({ uri }) => uri ?? "");
        if (ids.length === 0) throw new Error("Envoy has no certificate yet");
        return ids;
      },
      { timeout: 20_000, interval: 50 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
