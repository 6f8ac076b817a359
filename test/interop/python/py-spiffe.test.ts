import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Dev } from "../../support/dev.ts";
import { canRunClient, pySpiffe, pySpiffeClient } from "../support/py-spiffe.ts";
import { pythonIsThere } from "../support/python-env.ts";
import { Talker } from "../support/talker.ts";

const identity = z.strictObject({
  spiffeId: z.string(),
  serial: z.string(),
  curve: z.string(),
  keyFits: z.boolean(),
  /** Serial number of the authority in the bundle that signed it; empty for none. */
  authority: z.string(),
  authorities: z.number(),
});
const refusal = z.strictObject({ error: z.string() });
const bundles = z.strictObject({ bundles: z.record(z.string(), z.number()) });

const me = "spiffe://example.org/x";
/** Of nobody who has an entry. */
const stranger = 65_534;

describe.skipIf(!pythonIsThere())("py-spiffe (needs python3 with venv)", () => {
  let dev: Dev;
  let python: string;
  beforeAll(async () => {
    python = await pySpiffe();
    dev = await Dev.start();
    await dev.createEntry(me);
  });
  afterAll(async () => {
    await dev[Symbol.asyncDispose]();
  });
  const client = (...args: readonly string[]): Talker =>
    new Talker(python, [pySpiffeClient, dev.ready.socket, ...args]);

  test("fetch_x509_svid: the entry's identity, with a key that fits and a chain to the bundle", async () => {
    await using talker = client("fetch");
    const got = await talker.next(identity);
    expect(got).toMatchObject({ spiffeId: me, curve: "secp256r1", keyFits: true, authorities: 1 });
    expect(got.authority).not.toBe("");
  });

  test("fetch_x509_bundles: the own trust domain's", async () => {
    await using talker = client("bundles");
    expect(await talker.next(bundles)).toEqual({ bundles: { "example.org": 1 } });
  });

  test("a watcher is given the new bundle and a new SVID through a rotation, each chain holding", async () => {
    await using talker = client("watch");
    const before = await talker.next(identity);
    const rotation = dev.mustHerald("ca", "rotate", "--json");
    const seen = [before];
    const after = await talker.until(identity, (now) => {
      seen.push(now);
      return now.serial !== before.serial;
    });
    await rotation;
    expect(after).toMatchObject({ spiffeId: me, keyFits: true });
    expect(after.authority).not.toBe(before.authority);
    expect(seen.filter((one) => one.authority === "")).toEqual([]);
    // The new root was there before the first SVID that needs it (invariant 5).
    expect(seen.some((one) => one.serial === before.serial && one.authorities === 2)).toBe(true);
  });

  test.skipIf(process.getuid?.() !== 0 || !canRunClient(stranger))(
    "PermissionDenied for a uid without an entry (where root, in a folder that others may read)",
    async () => {
      await using talker = client("fetch", "--uid", String(stranger));
      const { error } = await talker.next(refusal);
      expect(error).toContain("PERMISSION_DENIED");
    },
  );
});
