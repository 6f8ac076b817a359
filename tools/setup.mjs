// Makes a checkout ready: npm packages, the pinned Node, Envoy, nats-server. Runs before `npm run demo|test|check|bench`
// on whatever Node (>= 20) the machine has, and needs nothing installed. With nothing to do it only looks.
//   node tools/setup.mjs [--without-parts]

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { say } from "./child.mjs";
import { installPackages, packagesReady } from "./install-packages.mjs";
import { installPart } from "./install-parts.mjs";
import { withLock } from "./lock.mjs";
import { envoySkipped, findPart, MissingPart, parts, root } from "./parts.mjs";

function wantedParts() {
  if (process.argv.includes("--without-parts")) return [];
  return envoySkipped() ? [parts["nats-server"]] : [parts.envoy, parts["nats-server"]];
}

function missingParts() {
  return wantedParts().filter((part) => {
    const { path, note } = findPart(part);
    if (note !== undefined) say(note);
    return path === undefined;
  });
}

async function main() {
  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new MissingPart(
      `This is Node ${process.versions.node}.`,
      "Set-up needs Node 20 or newer; everything after that runs on the Node it installs.",
    );
  }
  if (envoySkipped())
    say("HERALD_SKIP_ENVOY=1: ENVOY IS LEFT OUT. Tests that need it are SKIPPED.");
  if (packagesReady() && missingParts().length === 0) return;

  const begun = performance.now();
  const tools = join(root, ".tools");
  mkdirSync(tools, { recursive: true });
  await withLock(join(tools, "setup.lock"), say, async () => {
    // npm and pip don't wait for each other; what one lacks does not hide what the other lacks.
    const results = await Promise.allSettled([
      installPackages(),
      ...missingParts().map(installPart),
    ]);
    const failures = results
      .filter(({ status }) => status === "rejected")
      .map(({ reason }) => reason);
    if (failures.length > 0) throw new AggregateError(failures);
  });
  say(`ready in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}

try {
  await main();
} catch (thrown) {
  const failures = thrown instanceof AggregateError ? thrown.errors : [thrown];
  for (const failure of failures)
    say(failure instanceof MissingPart ? failure.message : (failure.stack ?? String(failure)));
  process.exitCode = 1;
}
