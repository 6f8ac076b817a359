import { fileURLToPath } from "node:url";
import { onPath } from "../../../tools/parts.mjs";
import { run } from "../../support/dev.ts";

const go = onPath("go");
const module = fileURLToPath(new URL("../grpcurl", import.meta.url));

/** Builds grpcurl into `folder`, against go.sum. Resolves with its path. */
export async function buildGrpcurl(folder: string): Promise<string> {
  const binary = `${folder}/grpcurl`;
  const tool = "github.com/fullstorydev/grpcurl/cmd/grpcurl";
  const args = ["build", "-C", module, "-mod=readonly", "-buildvcs=false", "-o", binary, tool];
  const { status, stderr } = await run(go ?? "", args);
  if (status !== 0) throw new Error(`go ${args.join(" ")} failed: ${stderr}`);
  return binary;
}
