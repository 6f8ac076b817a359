// Runs a tool of this checkout by the pinned Node, with the real parts named in its environment:
//   node tools/run.mjs vitest run test/core        node tools/run.mjs node demo/main.ts

import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { envoySkipped, findPart, isExecutable, parts, pinnedNode, root } from "./parts.mjs";

const [tool, ...args] = process.argv.slice(2);
const bin = join(root, "node_modules", ".bin");

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(2);
}

if (tool === undefined)
  fail("usage: node tools/run.mjs <tool of node_modules/.bin | node> [arguments]");
if (!isExecutable(pinnedNode())) fail("The pinned Node is not here: run `npm run setup`.");
if (tool !== "node" && !isExecutable(join(bin, tool)))
  fail(`node_modules/.bin/${tool} is not here: run \`npm run setup\`.`);

const env = {
  // What a tool starts is compiled once: each daemon of the demo and of the tests is up half a second sooner.
  NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "herald"),
  ...process.env,
  PATH: `${bin}${delimiter}${process.env.PATH ?? ""}`,
};
for (const part of Object.values(parts)) {
  try {
    const { path } = findPart(part);
    if (path !== undefined) env[part.variable] = path;
  } catch (error) {
    fail(error.message);
  }
}

const program = tool === "node" ? args : [realpathSync(join(bin, tool)), ...args];
const child = spawn(pinnedNode(), program, { stdio: "inherit", env });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));

child.on("error", (error) => fail(`${pinnedNode()} could not be started: ${error.message}`));
child.on("exit", (code, signal) => {
  if (envoySkipped() && tool === "vitest") {
    process.stderr.write(
      "\n*** HERALD_SKIP_ENVOY=1: NOTHING WAS TESTED AGAINST ENVOY IN THIS RUN ***\n\n",
    );
  }
  process.exit(code ?? 128 + constants.signals[signal]);
});
