// The gate, `npm run check`: every check in turn, two at a time, a line each; in full only what failed.
//   node tools/check.mjs [name ...]      runs only the named checks

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, join } from "node:path";
import { isExecutable, pinnedNode, root } from "./parts.mjs";

const bin = join(root, "node_modules", ".bin");
const folders = ["src", "test", "demo", "tools"].filter((name) => existsSync(join(root, name)));

/** What server reflection tells of the admin API (src/daemon/admin-reflection.ts); `npm run wire` makes the same. */
const descriptors =
  "--path proto/herald --path proto/google/rpc --path proto/grpc --as-file-descriptor-set --exclude-source-info".split(
    " ",
  );

/** Each check: the commands to run in turn, all by the pinned Node. */
const checks = {
  types: () => [["tsc", "--noEmit"]],
  architecture: () => [["vitest", "run", "test/architecture"]],
  "generated code": (scratch) => [
    ["buf", "generate", "--output", scratch],
    ["/usr/bin/env", "diff", "--recursive", "--brief", join(scratch, "src", "wire"), "src/wire"],
    ["buf", "build", ...descriptors, "--output", join(scratch, "admin.binpb")],
    ["/usr/bin/env", "diff", "--brief", join(scratch, "admin.binpb"), "proto/admin.binpb"],
  ],
  "dead code": () => [["knip", "--no-progress"]],
  layers: () => [["depcruise", "--config", ".dependency-cruiser.json", "src"]],
  lint: () => [["oxlint", "--deny-warnings", ...folders]],
  format: () => [["biome", "ci", "--colors=off", "--error-on-warnings", "."]],
  contracts: () => [["buf", "lint"]],
};

/** What to do about a failure that one command mends. */
const cures = {
  format: "npm run format",
  "generated code": "npm run wire",
};

function run([command, ...args]) {
  return new Promise((done) => {
    const env = {
      ...process.env,
      PATH: `${bin}${delimiter}${process.env.PATH ?? ""}`,
      NO_COLOR: "1",
    };
    const program = command.startsWith("/")
      ? [command, args]
      : [pinnedNode(), [realpathSync(join(bin, command)), ...args]];
    const child = spawn(...program, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (bytes) => (output += bytes));
    child.stderr.on("data", (bytes) => (output += bytes));
    child.on("error", (error) => done({ passed: false, output: error.message }));
    child.on("close", (code) => done({ passed: code === 0, output }));
  });
}

async function runCheck(name, scratch) {
  const begun = performance.now();
  let result = { passed: true, output: "" };
  for (const command of checks[name](scratch)) {
    result = await run(command);
    if (!result.passed) break;
  }
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`${result.passed ? "ok  " : "FAIL"}  ${name.padEnd(16)} ${seconds.padStart(5)} s`);
  return { name, ...result };
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in checks));
if (unknown.length > 0 || !isExecutable(pinnedNode())) {
  console.error(
    unknown.length > 0
      ? `No such check: ${unknown.join(", ")}. There are: ${Object.keys(checks).join(", ")}.`
      : "The pinned Node is not here: run `npm run setup`.",
  );
  process.exit(2);
}

mkdirSync(join(root, ".tools"), { recursive: true });
const scratch = mkdtempSync(join(root, ".tools", "check-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

const begun = performance.now();
const waiting = asked.length > 0 ? asked : Object.keys(checks);
const results = [];
const worker = async () => {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    results.push(await runCheck(name, scratch));
  }
};
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));

const failed = results.filter(({ passed }) => !passed);
for (const { name, output } of failed) {
  console.log(
    `\n--- ${name}${name in cures ? ` (mend with: ${cures[name]})` : ""}\n${output.trimEnd()}`,
  );
}
const seconds = ((performance.now() - begun) / 1000).toFixed(1);
console.log(
  failed.length === 0
    ? `\nThe gate is open (${seconds} s).`
    : `\n${failed.length} of ${results.length} checks failed (${seconds} s).`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
