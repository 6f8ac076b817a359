import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { devPointerPath } from "../../src/daemon/dev-pointer.ts";
import { fakeAdmin } from "./support/fake-admin.ts";
import { herald, temporaryFolder } from "./support/run.ts";

const uid = process.geteuid?.() ?? 0;
const empty = "no entries; `herald entry create` makes one\n";
const tried =
  "herald: no issuer found: neither --admin nor HERALD_ADMIN is given, nobody listens at unix:///run/herald/admin.sock";

function pointTo(runtime: string, address: string): string {
  const pointer = devPointerPath({ env: { XDG_RUNTIME_DIR: runtime }, uid });
  mkdirSync(join(pointer, ".."), { mode: 0o700 });
  writeFileSync(pointer, `${address}\n`, { mode: 0o600 });
  return pointer;
}

describe("the issuer is found", () => {
  test("by --admin before HERALD_ADMIN before the last `herald dev`", async () => {
    using folder = temporaryFolder();
    using admin = await fakeAdmin({ listEntries: () => ({ entries: [], nextPageToken: "" }) });
    const env = { XDG_RUNTIME_DIR: folder.path };
    pointTo(folder.path, "unix:///nonexistent/dev.sock");
    const wrong = "unix:///nonexistent/env.sock";
    const flag = await herald(["entry", "list", "--admin", admin.address], {
      env: { ...env, HERALD_ADMIN: wrong },
    });
    expect(flag.out).toBe(empty);
    const variable = await herald(["entry", "list"], { env: { ...env, HERALD_ADMIN: wrong } });
    expect(variable.err).toBe(
      "herald: there is no socket /nonexistent/env.sock (from HERALD_ADMIN)\n  try: start the issuer, or give the address of its admin socket with --admin unix:///path\n",
    );
    expect(variable.code).toBe(1);
  });

  test("by the pointer of `herald dev` at last, when an issuer answers there", async () => {
    using folder = temporaryFolder();
    using admin = await fakeAdmin({ listEntries: () => ({ entries: [], nextPageToken: "" }) });
    pointTo(folder.path, admin.address);
    const env = { XDG_RUNTIME_DIR: folder.path };
    expect((await herald(["entry", "list"], { env })).out).toBe(empty);
  });

  test("nowhere: everything that was tried is named", async () => {
    using folder = temporaryFolder();
    const env = { XDG_RUNTIME_DIR: folder.path };
    const pointer = devPointerPath({ env, uid });
    const cure =
      "\n  try: start an issuer or `herald dev`, or give its address with --admin unix:///path\n";
    const none = await herald(["entry", "list"], { env });
    expect(none.err).toBe(`${tried}, and there is no ${pointer}${cure}`);
    pointTo(folder.path, "unix:///nonexistent/dev.sock");
    const dead = await herald(["entry", "list"], { env });
    expect(dead.err).toBe(
      `${tried}, nor at unix:///nonexistent/dev.sock, which ${pointer} names${cure}`,
    );
  });
});

describe("a pointer that another could have written is not followed", () => {
  test.for([
    ["a file that others may write", (pointer: string) => chmodSync(pointer, 0o622)],
    ["a folder that others may write", (pointer: string) => chmodSync(join(pointer, ".."), 0o777)],
  ] as const)("%s", async ([, spoil]) => {
    using folder = temporaryFolder();
    using admin = await fakeAdmin({ listEntries: () => ({ entries: [], nextPageToken: "" }) });
    spoil(pointTo(folder.path, admin.address));
    const ran = await herald(["entry", "list"], { env: { XDG_RUNTIME_DIR: folder.path } });
    expect(ran.code).toBe(1);
    expect(ran.err).toContain(tried);
  });

  test("a symbolic link", async () => {
    using folder = temporaryFolder();
    using admin = await fakeAdmin({ listEntries: () => ({ entries: [], nextPageToken: "" }) });
    const pointer = devPointerPath({ env: { XDG_RUNTIME_DIR: folder.path }, uid });
    mkdirSync(join(pointer, ".."), { mode: 0o700 });
    writeFileSync(join(folder.path, "elsewhere"), admin.address, { mode: 0o600 });
    symlinkSync(join(folder.path, "elsewhere"), pointer);
    const ran = await herald(["entry", "list"], { env: { XDG_RUNTIME_DIR: folder.path } });
    expect(ran.code).toBe(1);
  });

  test.skipIf(uid !== 0)("another user's file", async () => {
    using folder = temporaryFolder();
    using admin = await fakeAdmin({ listEntries: () => ({ entries: [], nextPageToken: "" }) });
    chownSync(pointTo(folder.path, admin.address), 65_534, 65_534);
    const ran = await herald(["entry", "list"], { env: { XDG_RUNTIME_DIR: folder.path } });
    expect(ran.code).toBe(1);
  });
});
