import { fileURLToPath } from "node:url";
import { onPath } from "../../../tools/parts.mjs";
import { run } from "../../support/dev.ts";

const go = onPath("go");
const module = fileURLToPath(new URL("../go", import.meta.url));

export function goIsThere(): boolean {
  return go !== undefined;
}

/** Builds the go-spiffe client into `folder`; the first time its modules are downloaded, against go.sum. Resolves with its path. */
export async function buildGoSpiffe(folder: string): Promise<string> {
  const binary = `${folder}/go-spiffe`;
  const args = ["build", "-C", module, "-mod=readonly", "-buildvcs=false", "-o", binary, "."];
  const { status, stderr } = await run(go ?? "", args);
  if (status !== 0) throw new Error(`go ${args.join(" ")} failed: ${stderr}`);
  return binary;
}
