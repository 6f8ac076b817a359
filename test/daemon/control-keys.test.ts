import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEnvelope, sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { keyIdOf } from "../../src/core/envelope/pae.ts";
import { ControlTrust } from "../../src/core/envelope/trust.ts";
import {
  type ControlKeys,
  createControlKeys,
  openControlKeys,
  stateFiles,
} from "../../src/daemon/control-keys.ts";
import { now, trustDomain } from "../core/envelope/support/keys.ts";
import { samples } from "../core/envelope/support/samples.ts";
import { RecordedLog } from "../identity/support/recorded-log.ts";
import { HeldClock } from "../support/held-clock.ts";

const day = 86_400_000;

let dir = "";
let clock = new HeldClock(now);
let log = new RecordedLog();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "herald-control-"));
  clock = new HeldClock(now);
  log = new RecordedLog();
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const create = async () => await createControlKeys(dir, trustDomain, { clock });
const open = async (): Promise<ControlKeys> =>
  await openControlKeys(dir, trustDomain, { clock, log });
const rootPath = (): string => join(dir, "keys", "root.key");

/** The bytes of a certificate's public form, to tell a new one from the old. */
const certificateOf = (keys: ControlKeys): string => keys.signer.accompanied.certificate ?? "";

/** Does a node that knows only the pin believe what these keys sign? */
async function isBelieved(keys: ControlKeys, pin: string): Promise<boolean> {
  const { bytes } = await sealEnvelope("head", { ...samples.head, at: clock.now() }, keys.signer);
  try {
    openEnvelope(bytes, ["head"], new ControlTrust({ trustDomain, pin }).at(clock.now()));
    return true;
  } catch {
    return false;
  }
}

describe("herald init", () => {
  test("TM-I-02 with a sealing key from elsewhere leaves none beside the keys, and opens with that one alone", async () => {
    const secret = (byte: string): string => {
      const path = join(dir, `sealing-${byte}`);
      writeFileSync(path, byte.repeat(64), { mode: 0o600 });
      return path;
    };
    const from = (path: string) => ({ from: "file", path }) as const;
    await createControlKeys(dir, trustDomain, { clock, sealing: from(secret("a")) });
    expect(existsSync(join(dir, stateFiles.sealingKey))).toBe(false);
    const open = (path: string) =>
      openControlKeys(dir, trustDomain, { clock, log, sealing: from(path) });
    await open(secret("a"));
    await expect(open(secret("b"))).rejects.toMatchObject({ code: "DAMAGED" });
  });

  test("makes a root, a certified control key and the first epoch, under one pin", async () => {
    const { pin, issuer } = await create();
    const keys = await open();
    expect(pin).toBe(keyIdOf(readFileSync(join(dir, stateFiles.rootPublic))));
    expect(keys.issuer).toBe(issuer);
    expect(issuer).toMatch(/^spiffe:\/\/example\.org\/herald\/issuer\/[0-9a-f]{16}$/);
    expect(keys.trust.pin).toBe(pin);
    expect(keys.epoch.number).toBe(1n);
    const epoch = openEnvelope(keys.epoch.bytes, ["epoch"], keys.trust.at(now));
    expect(epoch.payload).toMatchObject({
      key: "control.current",
      revokedKeys: [],
      version: { epoch: 1n, term: 0n, seq: 1n },
    });
    expect(await isBelieved(keys, pin)).toBe(true);
    expect(await isBelieved(keys, "0".repeat(64))).toBe(false);
  });

  test("twice in one folder is refused, and the first stays", async () => {
    const { pin } = await create();
    await expect(create()).rejects.toMatchObject({ code: "ALREADY_INITIALISED" });
    expect(await isBelieved(await open(), pin)).toBe(true);
  });

  test("that a crash cut short can be run again: the last file says that all others are there", async () => {
    await create();
    await rm(join(dir, stateFiles.rootPublic));
    await expect(open()).rejects.toMatchObject({ code: "NOT_INITIALISED" });
    const { pin } = await create();
    expect(await isBelieved(await open(), pin)).toBe(true);
  });

  test("writes secrets 0600 and no key in clear", async () => {
    await create();
    const keys = await open();
    const control = await keys.keys.load("control");
    const seed = control?.export({ format: "der", type: "pkcs8" }).subarray(-32) ?? Buffer.alloc(0);
    const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const path = join(file.parentPath, file.name);
      expect(readFileSync(path).includes(seed), path).toBe(false);
      expect(statSync(path).mode & 0o777, path).toBe(
        file.name === stateFiles.rootPublic ? 0o644 : 0o600,
      );
    }
  });
});

describe("the control certificate", () => {
  test("is kept while it has more than ten days, and made anew after that", async () => {
    const { pin } = await create();
    const first = certificateOf(await open());
    await clock.advance(20 * day - 1);
    expect(certificateOf(await open())).toBe(first);
    await clock.advance(1);
    const renewed = await open();
    expect(certificateOf(renewed)).not.toBe(first);
    expect(await isBelieved(renewed, pin)).toBe(true);
    expect(certificateOf(await open())).toBe(certificateOf(renewed));
    await clock.advance(29 * day);
    expect(await isBelieved(renewed, pin)).toBe(true);
  });

  test("counts a little into the past, for nodes whose clocks are behind", async () => {
    const { pin } = await create();
    const keys = await open();
    const { bytes } = await sealEnvelope("head", samples.head, keys.signer);
    const trust = new ControlTrust({ trustDomain, pin });
    expect(() => openEnvelope(bytes, ["head"], trust.at(now - 599_000))).not.toThrow();
  });

  test("with an offline root: silent at first, then an alarm a start, refused when it has ended", async () => {
    const { pin } = await create();
    await rename(rootPath(), join(dir, "taken-away"));
    const first = certificateOf(await open());
    await clock.advance(22 * day);
    expect(certificateOf(await open())).toBe(first);
    expect(log.alarms).toEqual([]);
    await clock.advance(2 * day);
    expect(certificateOf(await open())).toBe(first);
    expect(log.alarms).toEqual(["root-needed"]);
    await clock.advance(6 * day);
    await expect(open()).rejects.toMatchObject({ code: "CONTROL_CERTIFICATE" });
    await rename(join(dir, "taken-away"), rootPath());
    expect(await isBelieved(await open(), pin)).toBe(true);
  });
});

describe("a folder that is not whole", () => {
  test("an empty one is no state folder", async () => {
    await expect(open()).rejects.toMatchObject({ code: "NOT_INITIALISED" });
    expect(readdirSync(dir)).toEqual([]);
  });

  test.for([
    stateFiles.sealingKey,
    stateFiles.certificate,
    stateFiles.epoch,
    stateFiles.issuerName,
    "keys/control.key",
  ])("one without %s says so", async (name) => {
    await create();
    await rm(join(dir, name));
    await expect(open()).rejects.toMatchObject({
      code: "NOT_INITIALISED",
      message: expect.stringContaining(name) as string,
    });
  });

  test.for([stateFiles.certificate, stateFiles.epoch, "keys/control.key"])(
    "one with a damaged %s says so",
    async (name) => {
      await create();
      await writeFile(join(dir, name), "damaged");
      await expect(open()).rejects.toMatchObject({
        code: "DAMAGED",
        message: expect.stringContaining(name) as string,
      });
    },
  );
});
