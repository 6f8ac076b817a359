import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { pythonWith } from "./python-env.ts";

const folder = new URL("../python/", import.meta.url);

/** The client, for {@link Talker}. */
export const pySpiffeClient: string = fileURLToPath(new URL("client.py", folder));

/** A Python that has py-spiffe. */
export async function pySpiffe(): Promise<string> {
  return await pythonWith("py-spiffe", fileURLToPath(new URL("requirements.txt", folder)));
}

/** Can a process of this user read the client at all? A checkout in a private folder keeps it out before Herald could. */
export function canRunClient(uid: number): boolean {
  return spawnSync("test", ["-r", pySpiffeClient], { uid, gid: uid }).status === 0;
}
