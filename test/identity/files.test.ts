import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ConsumerFile,
  EnvelopeFile,
  IdentityFile,
  linuxProcesses,
  noCache,
  SvidFolder,
} from "../../src/identity/adapters/files.ts";
import type { CachedSvid } from "../../src/identity/ports.ts";
import { sealingKey } from "../../src/kit/adapters/sealed-file.ts";
import { nodeKey } from "../core/envelope/support/keys.ts";
import { makeAuthority, makeSvid } from "../support/ca-world.ts";
import { keptOf, newPair } from "./support/identity-world.ts";
import { RecordedLog } from "./support/recorded-log.ts";

let dir = "";
let log = new RecordedLog();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "herald-files-"));
  log = new RecordedLog();
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const path = (...names: readonly string[]): string => join(dir, ...names);
const modeOf = (name: string): number => statSync(path(name)).mode & 0o777;

/** Every file below the folder, as one text of bytes. */
function everythingOnDisk(): Buffer {
  const names = readdirSync(dir, { recursive: true, withFileTypes: true });
  return Buffer.concat(
    names.filter((one) => one.isFile()).map((one) => readFileSync(join(one.parentPath, one.name))),
  );
}

/** The private key in any form in which it could lie there. */
function formsOf(pkcs8: Uint8Array): readonly (string | Buffer)[] {
  const der = Buffer.from(pkcs8);
  return [
    der,
    der.toString("base64"),
    der.toString("base64url"),
    der.toString("hex"),
    der.subarray(-100, -68),
  ];
}

const authority = makeAuthority();
function cached(entry: string): CachedSvid {
  const { id, chain, privateKey } = makeSvid([authority], { id: `spiffe://example.org/${entry}` });
  return { entry, revision: 2n ** 64n - 1n, spiffeId: id, chain, privateKey };
}

const plain = (svids: readonly CachedSvid[]) =>
  svids
    .map((svid) => ({
      ...svid,
      chain: svid.chain.map((der) => Buffer.from(der).toString("hex")),
      privateKey: Buffer.from(svid.privateKey).toString("hex"),
    }))
    .toSorted((a, b) => (a.entry < b.entry ? -1 : 1));

describe("the node's identity", () => {
  test("is what was saved last, 0600", async () => {
    const store = new IdentityFile(path());
    expect(await store.load()).toBeUndefined();
    const kept = keptOf(nodeKey);
    await store.save(keptOf(newPair().privateKey));
    await store.save(kept);
    const read = await store.load();
    expect(read?.privateKey.equals(nodeKey)).toBe(true);
    expect(read).toMatchObject({ node: kept.node, pin: kept.pin, bus: kept.bus });
    expect(Buffer.from(read?.busSeed ?? "").equals(kept.busSeed)).toBe(true);
    expect(modeOf("identity.json")).toBe(0o600);
  });

  test("TM-N-08 its key is in its own file, and never in the cache", async () => {
    await new IdentityFile(path()).save(keptOf(nodeKey));
    expect(readdirSync(dir)).toEqual(["identity.json"]);
  });

  test.for(["", "{}", "not JSON", '{"node":"spiffe://example.org/x"}'])(
    "damaged (%j) is said, with what to do",
    async (text) => {
      await writeFile(path("identity.json"), text);
      await expect(new IdentityFile(path()).load()).rejects.toMatchObject({ code: "CACHE" });
    },
  );

  test("what a crash left beside it is ignored, and overwritten, with its mode", async () => {
    const store = new IdentityFile(path());
    await store.save(keptOf(nodeKey));
    await writeFile(path("identity.json.new"), "half of", { mode: 0o644 });
    expect((await store.load())?.privateKey.equals(nodeKey)).toBe(true);
    await store.save(keptOf(nodeKey));
    expect(readdirSync(dir)).toEqual(["identity.json"]);
    expect(modeOf("identity.json")).toBe(0o600);
  });

  test("a link in the place of what a crash left is not written through", async () => {
    await writeFile(path("elsewhere"), "untouched");
    await symlink(path("elsewhere"), path("identity.json.new"));
    await new IdentityFile(path()).save(keptOf(nodeKey));
    expect(readFileSync(path("elsewhere"), "utf8")).toBe("untouched");
  });

  test("a pending key is kept until it is taken back; a damaged one is none", async () => {
    const store = new IdentityFile(path());
    expect(await store.loadPending()).toBeUndefined();
    await store.savePending({ privateKey: nodeKey });
    expect(modeOf("pending.key")).toBe(0o600);
    expect((await new IdentityFile(path()).loadPending())?.privateKey.equals(nodeKey)).toBe(true);
    await writeFile(path("pending.key"), "torn");
    expect(await store.loadPending()).toBeUndefined();
    await store.savePending(undefined);
    await store.savePending(undefined);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("the workloads' SVIDs", () => {
  const key = Buffer.alloc(32, 1);
  const folder = (seal: Buffer | undefined = key): SvidFolder =>
    new SvidFolder({ folder: path("svids"), sealingKey: seal, log });

  test.for<readonly [string, Buffer | undefined]>([
    ["sealed", key],
    ["plain", undefined],
  ])("%s: what was saved is loaded, what was removed is not", async ([, seal]) => {
    const store = new SvidFolder({ folder: path("svids"), sealingKey: seal, log });
    expect(await store.load()).toEqual([]);
    const [web, db, next] = [cached("web"), cached("db"), cached("web")];
    await store.save([web, db]);
    await store.save([next]);
    expect(plain(await store.load())).toEqual(plain([next, db]));
    await store.remove(["db", "never-was"]);
    expect(plain(await store.load())).toEqual(plain([next]));
    expect(modeOf("svids")).toBe(0o700);
    expect(modeOf("svids/web.svid")).toBe(0o600);
  });

  test("TM-N-08 sealed: no form of the private key is on the disk", async () => {
    const svid = cached("web");
    await folder().load();
    await folder().save([svid]);
    const disk = everythingOnDisk();
    expect(disk.length).toBeGreaterThan(500);
    for (const form of formsOf(svid.privateKey)) expect(disk.includes(form)).toBe(false);
    expect(disk.includes("spiffe://example.org/web")).toBe(false);
    // The same search finds it where it is plain, so it does search.
    await new SvidFolder({ folder: path("plain"), sealingKey: undefined, log }).save([svid]);
    const found = formsOf(svid.privateKey).some((form) => everythingOnDisk().includes(form));
    expect(found).toBe(true);
  });

  test("TM-N-08 a copied disk, or the same one after a reboot, opens nothing and says so", async () => {
    await folder().load();
    await folder().save([cached("web"), cached("db")]);
    expect(await folder(Buffer.alloc(32, 2)).load()).toEqual([]);
    expect(log.lines.map(({ message }) => message)).toEqual([
      expect.stringContaining("before a reboot"),
      expect.stringContaining("before a reboot"),
    ]);
    expect(plain(await folder().load())).toHaveLength(2);
  });

  test("a sealed file under another entry's name is left out", async () => {
    await folder().load();
    await folder().save([cached("web")]);
    const bytes = readFileSync(path("svids", "web.svid"));
    await writeFile(path("svids", "admin.svid"), bytes);
    expect((await folder().load()).map((svid) => svid.entry)).toEqual(["web"]);
  });

  test("a damaged file is left out and the others are loaded", async () => {
    await folder().load();
    await folder().save([cached("web"), cached("db")]);
    const bytes = readFileSync(path("svids", "web.svid"));
    for (const damaged of [
      Buffer.alloc(0),
      bytes.subarray(0, 20),
      bytes.subarray(0, -1),
      bytes.with(40, (bytes[40] ?? 0) ^ 1),
    ]) {
      await writeFile(path("svids", "web.svid"), damaged);
      expect((await folder().load()).map((svid) => svid.entry)).toEqual(["db"]);
    }
    expect(log.lines.filter(({ level }) => level === "warn")).toHaveLength(4);
  });

  test("a plain file that is damaged is left out too", async () => {
    await mkdir(path("svids"));
    for (const [name, text] of Object.entries({ a: "", b: "{}", c: '{"entry":"c"}' }))
      await writeFile(path("svids", `${name}.svid`), text);
    const store = new SvidFolder({ folder: path("svids"), sealingKey: undefined, log });
    expect(await store.load()).toEqual([]);
    expect(log.lines).toHaveLength(3);
  });

  test("what a crash left half written is not loaded", async () => {
    await folder().load();
    await folder().save([cached("web")]);
    await writeFile(path("svids", "db.svid.new"), "half");
    expect((await folder().load()).map((svid) => svid.entry)).toEqual(["web"]);
    await folder().save([cached("db")]);
    expect(readdirSync(path("svids")).toSorted()).toEqual(["db.svid", "web.svid"]);
  });

  test("with the cache off nothing is written and nothing loaded", async () => {
    await noCache.save([cached("web")]);
    await noCache.remove(["web"]);
    expect(await noCache.load()).toEqual([]);
  });
});

describe("signed state", () => {
  test("is what was saved last, line by line", async () => {
    const file = new EnvelopeFile(path("state"));
    expect(await file.load()).toEqual([]);
    const envelopes = ['{"a":1}', '["page"]'].map((text) => Buffer.from(text));
    await file.save([Buffer.from("{}")]);
    await file.save(envelopes);
    expect(await file.load()).toEqual(envelopes);
    expect(modeOf("state")).toBe(0o600);
    await file.save([]);
    expect(await file.load()).toEqual([]);
  });

  test("consumers are kept as bytes", async () => {
    const file = new ConsumerFile(path("consumers.json"));
    expect(await file.load()).toBeUndefined();
    await file.save(Buffer.from("[]"));
    expect(Buffer.from((await file.load()) ?? "").toString()).toBe("[]");
    expect(modeOf("consumers.json")).toBe(0o600);
  });
});

test("TM-N-08 the sealing key is made once, 0600, in a folder of its own", async () => {
  const made = await sealingKey(path("run", "cache.key"));
  expect(await sealingKey(path("run", "cache.key"))).toEqual(made);
  expect([modeOf("run"), modeOf("run/cache.key")]).toEqual([0o700, 0o600]);
});

test("TM-W-01 a process is known by its start time; one that is not there by none", () => {
  expect(linuxProcesses.startOf(process.pid)).toMatch(/^\d+$/);
  expect(linuxProcesses.startOf(process.pid)).toBe(linuxProcesses.startOf(process.pid));
  expect(linuxProcesses.startOf(2 ** 30)).toBeUndefined();
});
