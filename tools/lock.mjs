// One set-up at a time in a checkout: two npm scripts that start together must not install into each other.

import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
};

const holderOf = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

/** When a process began, so that a reused pid is not taken for the holder. Empty where there is no /proc. */
const birthOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")[19];
  } catch {
    return "";
  }
};

/** Removes the drafts of waiters that were killed. */
function sweep(path) {
  for (const name of readdirSync(dirname(path))) {
    const pid = name.startsWith(`${basename(path)}.`) ? Number(name.split(".").at(-1)) : 0;
    if (pid > 0 && !isAlive(pid)) rmSync(join(dirname(path), name), { force: true });
  }
}

/**
 * Runs `work` alone. The lock is a file `pid birth`, made whole by a link, so it is never seen half written;
 * one whose process is gone (killed in the middle) is taken over.
 */
export async function withLock(path, say, work) {
  const mine = `${process.pid} ${birthOf(process.pid)}`;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, mine);
  try {
    for (let told = false; ; ) {
      try {
        linkSync(draft, path);
        break;
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
      const held = holderOf(path);
      if (held === undefined) continue;
      const [pid, birth] = held.split(" ");
      if (!isAlive(Number(pid)) || birthOf(pid) !== birth) {
        // Only what was looked at is removed: another waiter may have taken it over meanwhile.
        if (holderOf(path) === held) rmSync(path, { force: true });
        continue;
      }
      if (!told) say(`waiting for another set-up in this checkout (process ${pid}) ...`);
      told = true;
      await sleep(100);
    }
    try {
      sweep(path);
      return await work();
    } finally {
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
}
