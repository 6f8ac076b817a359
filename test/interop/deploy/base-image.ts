import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { onPath, pinnedNode } from "../../../tools/parts.mjs";

/** What the Dockerfile asks of its base: a shell, a few tools, Node and npm, certificates. */
const programs = ["sh", "cat", "dirname", "readlink", "mkdir", "env"];

/** The libraries that a program is linked with, as the loader finds them. */
function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

/** Builds a base image from this machine's own files, `FROM scratch`: nothing is pulled. */
export function buildBaseImage(docker: string, tag: string): void {
  const context = mkdtempSync(join(tmpdir(), "herald-base-"));
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(context, "root", to)), { recursive: true });
    cpSync(from, join(context, "root", to), { recursive: true, dereference: true });
  };
  try {
    const found = programs.map((name) => onPath(name) ?? name);
    for (const program of found) {
      for (const folder of ["/bin", "/usr/bin"])
        put(realpathSync(program), join(folder, basename(program)));
    }
    put(pinnedNode(), "/usr/bin/node");
    for (const library of new Set([...found, pinnedNode()].flatMap(librariesOf))) {
      put(realpathSync(library), library);
    }
    const npm = dirname(dirname(realpathSync(onPath("npm") ?? "npm")));
    put(npm, "/usr/lib/node_modules/npm");
    symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(context, "root/usr/bin/npm"));
    if (existsSync("/etc/ssl/certs")) put("/etc/ssl/certs", "/etc/ssl/certs");
    mkdirSync(join(context, "root/tmp"));
    writeFileSync(
      join(context, "Dockerfile"),
      "FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin:/bin NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt\n",
    );
    execFileSync(docker, ["build", "--tag", tag, context], { stdio: "pipe" });
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}
