import { rm } from "node:fs/promises";
import { join } from "node:path";
import { readIfThere, writeDurably } from "../kit/adapters/durable-file.ts";

/** Whose pointer it is, and where this user's temporary files lie. */
export interface PointerOwner {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** The file by which later commands of the same user find the issuer of a running `herald dev`. */
export function devPointerPath(owner: PointerOwner): string {
  const runtime = owner.env["XDG_RUNTIME_DIR"] ?? "";
  return join(runtime === "" ? "/tmp" : runtime, `herald-${owner.uid}`, "dev-admin");
}

/** Points at an admin address; an earlier pointer is replaced. */
export async function writeDevPointer(owner: PointerOwner, admin: string): Promise<void> {
  await writeDurably(devPointerPath(owner), Buffer.from(`${admin}\n`));
}

/** Takes the pointer away, unless another `herald dev` has pointed it at itself since. */
export async function removeDevPointer(owner: PointerOwner, admin: string): Promise<void> {
  const path = devPointerPath(owner);
  if ((await readIfThere(path))?.toString("utf8").trim() === admin) await rm(path, { force: true });
}
