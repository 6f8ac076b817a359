import { availableParallelism, loadavg } from "node:os";
import { removeFolders } from "./support/fleet.ts";
import { killPrograms } from "./support/program.ts";
import { printResult, type Result } from "./support/stats.ts";

/** Every benchmark, by the name that `npm run bench NAME...` takes. */
const benches: Readonly<Record<string, () => Promise<Result>>> = {
  "entry-to-envoy": async () => await (await import("./entry-to-envoy.ts")).entryToEnvoy(),
  "rotation-to-envoy": async () => await (await import("./rotation-to-envoy.ts")).rotationToEnvoy(),
  revocation: async () => await (await import("./revocation.ts")).revocation(),
  signing: async () => await (await import("./signing.ts")).signing(),
  entries: async () => await (await import("./entries.ts")).entries(),
  taint: async () => await (await import("./taint.ts")).taint(),
  restart: async () => await (await import("./restart.ts")).restart(),
};

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const named = args.filter((arg) => arg !== "--json");
  const unknown = named.find((name) => benches[name] === undefined);
  if (unknown !== undefined) {
    const names = Object.keys(benches).join(", ");
    process.stderr.write(`there is no benchmark ${unknown}; there are ${names}\n`);
    return 2;
  }
  const results: Result[] = [];
  for (const [name, run] of Object.entries(benches)) {
    if (named.length > 0 && !named.includes(name)) continue;
    process.stderr.write(`${name} ...\n`);
    const loadBefore = loadavg()[0] ?? 0;
    const found = await run();
    const load = `Load average when it began: ${loadBefore.toFixed(2)} (${availableParallelism()} CPUs).`;
    const result = { ...found, notes: [...found.notes, load] };
    results.push(result);
    if (!json) process.stdout.write(`\n${printResult(result)}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ results })}\n`);
  return 0;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    killPrograms();
    removeFolders();
    process.exit(1);
  });
}
process.exitCode = await main(process.argv.slice(2));
