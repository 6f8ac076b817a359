import { readFile, stat } from "node:fs/promises";
import type { AccountNames, ProcessCredentials } from "../unix-selectors.ts";

/**
 * Names from `/etc/passwd` and `/etc/group`, read again when they change. Users that only a directory service knows
 * have no name here; select them by number.
 */
export function accountFiles(files?: {
  readonly passwd?: string;
  readonly group?: string;
}): AccountNames {
  const users = nameFile(files?.passwd ?? "/etc/passwd");
  const groups = nameFile(files?.group ?? "/etc/group");
  return { userName: users, groupName: groups };
}

/** Credentials from `/proc/<pid>/status`. */
export function procCredentials(): ProcessCredentials {
  return {
    async credentialsOf(pid) {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return {
        uid: effective(status, "Uid"),
        gid: effective(status, "Gid"),
        supplementaryGids: numbers(status, "Groups"),
      };
    },
  };
}

/** Real, effective, saved, file system: proc_pid_status(5). A missing line equals no credentials, so nothing matches. */
function effective(status: string, field: "Uid" | "Gid"): number {
  return numbers(status, field)[1] ?? Number.NaN;
}

function numbers(status: string, field: string): readonly number[] {
  const line = new RegExp(`^${field}:\\s*([\\d \\t]*)$`, "m").exec(status)?.[1] ?? "";
  return line
    .split(/\s+/)
    .filter((word) => word !== "")
    .map(Number);
}

/** Name by number of a file in the form of passwd(5) and group(5): `name:password:number:...`. */
function nameFile(path: string): (id: number) => Promise<string | undefined> {
  let held: { readonly stamp: string; readonly names: ReadonlyMap<number, string> } | undefined;
  return async (id) => {
    const { ino, mtimeMs, size } = await stat(path);
    const stamp = `${ino} ${mtimeMs} ${size}`;
    if (held?.stamp !== stamp) held = { stamp, names: parseNames(await readFile(path, "utf8")) };
    return held.names.get(id);
  };
}

function parseNames(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    // The first line wins, as in getpwuid(3). What useradd(8) would not take as a name is no name (TM-W-08).
    const isEntry = /^[A-Za-z_][A-Za-z0-9_.-]*\$?$/.test(name) && /^\d+$/.test(id);
    if (isEntry && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}
