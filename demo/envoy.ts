import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Program } from "../src/daemon/supervisor.ts";
import { envoyConfig, type Sidecar } from "./envoy-config.ts";
import { within } from "./within.ts";

/** One Envoy in a process of its own. */
export class Envoy {
  readonly name: string;
  readonly spiffeId: string;
  /** Where it takes calls, on the loopback address. */
  readonly port: number;
  /** Log of the node daemon that serves it. */
  readonly nodeLog: string;
  readonly program: Program;
  #admin = 0;

  private constructor(sidecar: Sidecar & { readonly nodeLog: string }, program: Program) {
    this.name = sidecar.name;
    this.spiffeId = sidecar.spiffeId;
    this.port = sidecar.listen;
    this.nodeLog = sidecar.nodeLog;
    this.program = program;
  }

  /** Writes its configuration; {@link Envoy.start} runs it. */
  static async prepare(
    sidecar: Sidecar & { readonly nodeLog: string },
    at: { readonly folder: string; readonly command: string },
  ): Promise<Envoy> {
    const config = join(at.folder, `envoy-${sidecar.name}.json`);
    await writeFile(config, envoyConfig(sidecar));
    const program = new Program({
      name: `Envoy ${sidecar.name}`,
      command: at.command,
      args: ["-c", config, "--disable-hot-restart", "--concurrency", "1", "--log-level", "info"],
      logFile: join(at.folder, "log", `envoy-${sidecar.name}.log`),
      isReady: (line) => adminPort(line) !== undefined,
      restart: false,
    });
    return new Envoy(sidecar, program);
  }

  /** Where its own admin page is. */
  get admin(): string {
    return `http://127.0.0.1:${this.#admin}`;
  }

  /** Resolves when its admin page answers: it may still wait for its secrets. */
  async start(): Promise<void> {
    const line = await within(20_000, `Envoy ${this.name} answers`, this.program.start());
    this.#admin = adminPort(line) ?? 0;
  }

  /** Its secrets are there and its listeners are open. */
  async isLive(): Promise<boolean> {
    const response = await fetch(`${this.admin}/ready`);
    return (await response.text()).trim() === "LIVE";
  }

  /** A counter or gauge; the sum when the last part of several names matches. */
  async stat(pattern: RegExp): Promise<number> {
    const response = await fetch(`${this.admin}/stats`);
    const lines = (await response.text()).split("\n");
    return lines
      .map((line) => line.split(": ", 2))
      .filter(([name]) => name !== undefined && pattern.test(name))
      .reduce((sum, [, value]) => sum + Number(value), 0);
  }
}

function adminPort(line: string): number | undefined {
  const [, port] = /admin address: 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
  return port === undefined ? undefined : Number(port);
}
