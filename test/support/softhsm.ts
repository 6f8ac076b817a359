import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onPath, root } from "../../tools/parts.mjs";

/** Where Debian (softhsm2), Fedora and others put it. */
const modules = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib64/softhsm/libsofthsm2.so",
];

/** Whether a SoftHSM2 is installed, and the package that speaks to it is built (tools/build-pkcs11.mjs). */
export function softHsmIsThere(): boolean {
  const isBuilt = existsSync(join(root, "node_modules/pkcs11js/build/Release/pkcs11.node"));
  return isBuilt && softHsmModule() !== "" && onPath("softhsm2-util") !== undefined;
}

/** Its library's path; empty when there is none. */
function softHsmModule(): string {
  return modules.find((path) => existsSync(path)) ?? "";
}

/** A token of its own in a temporary folder. SoftHSM reads its configuration once a process, so a process has one such folder. */
export class SoftHsm {
  readonly module: string = softHsmModule();
  readonly folder: string = mkdtempSync(join(tmpdir(), "hsm-"));
  readonly config: string = join(this.folder, "softhsm2.conf");
  readonly pin: string = "314159";

  constructor(...labels: readonly string[]) {
    mkdirSync(join(this.folder, "tokens"));
    writeFileSync(
      this.config,
      `directories.tokendir = ${join(this.folder, "tokens")}\nobjectstore.backend = file\nlog.level = ERROR\n`,
    );
    for (const label of labels) this.addToken(label);
  }

  addToken(label: string): void {
    const so = "271828182";
    execFileSync(
      "softhsm2-util",
      ["--init-token", "--free", "--label", label, "--so-pin", so, "--pin", this.pin],
      { env: { ...process.env, SOFTHSM2_CONF: this.config }, stdio: "pipe" },
    );
  }

  /** For this process: must be called before the library is first loaded in it. */
  use(): void {
    process.env["SOFTHSM2_CONF"] = this.config;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
