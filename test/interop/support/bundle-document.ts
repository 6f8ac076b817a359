import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const envelope = z.object({ payloadType: z.string(), payload: z.string() });
const bundle = z.object({ document: z.string() });

/** The trust domain's bundle document, byte for byte as it is published: out of the signed object that the node of a `herald dev` keeps. */
export function publishedBundle(devDir: string): string {
  const lines = readFileSync(join(devDir, "node", "state"), "utf8").split("\n");
  for (const line of lines.filter((text) => text !== "")) {
    const { payloadType, payload } = envelope.parse(JSON.parse(line));
    if (!payloadType.includes(".bundle.")) continue;
    return bundle.parse(JSON.parse(Buffer.from(payload, "base64").toString("utf8"))).document;
  }
  throw new Error(`no bundle in ${devDir}/node/state`);
}
