import { open } from "node:fs/promises";
import { join } from "node:path";
import { BareSds } from "./bare-sds.ts";
import { eventually } from "./fleet.ts";
import { startSecretsEnvoy } from "./secrets-envoy.ts";

/** Times from a bare gRPC server's write to Envoy's acknowledgement: the least that any SDS server needs on this machine. */
export async function barePushTimes(folder: string, samples: number): Promise<readonly number[]> {
  const warmUps = 5;
  const socket = join(folder, "bare");
  await using bare = await BareSds.start(socket);
  const svids = Array.from({ length: samples + warmUps }, (_, index) => `bare-${index}`);
  const configFile = join(folder, "bare.json");
  const envoy = await startSecretsEnvoy({
    name: "bare",
    socket,
    svids,
    bundle: "none",
    configFile,
  });
  try {
    await eventually(() => bare.isAskedFor(svids));
    const times: number[] = [];
    for (const name of svids) {
      const begun = performance.now();
      await bare.push(name);
      times.push(performance.now() - begun);
    }
    return times.slice(warmUps);
  } finally {
    await envoy.program.stop();
  }
}

/** Times to append one line to a file and sync it: what "acknowledged means kept" costs once on this disk. */
export async function syncTimes(folder: string, samples: number): Promise<readonly number[]> {
  const file = await open(join(folder, "sync"), "a");
  try {
    const times: number[] = [];
    for (let sample = 0; sample < samples; sample += 1) {
      const begun = performance.now();
      await file.appendFile(`${"x".repeat(1000)}\n`);
      await file.datasync();
      times.push(performance.now() - begun);
    }
    return times;
  } finally {
    await file.close();
  }
}
