import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Dev } from "../../support/dev.ts";
import { publishedBundle } from "../support/bundle-document.ts";
import { buildGoSpiffe, goIsThere } from "../support/go-spiffe.ts";
import { Talker } from "../support/talker.ts";

const fetched = z.strictObject({ ids: z.array(z.string()), bundles: z.number() });
const listening = z.strictObject({ addr: z.string() });
const begun = z.strictObject({ begun: z.boolean() });
const called = z.strictObject({
  handshakes: z.number(),
  failures: z.array(z.string()),
  /** How many different certificates each side showed. */
  own: z.number(),
  theirs: z.number(),
});
const parsed = z.strictObject({
  authorities: z.number(),
  sequence: z.string(),
  refreshHint: z.number(),
});

const [web, api] = ["spiffe://example.org/web", "spiffe://example.org/api"] as const;

describe.skipIf(!goIsThere())("go-spiffe (needs go)", () => {
  let dev: Dev;
  let binary: string;
  beforeAll(async () => {
    dev = await Dev.start();
    binary = await buildGoSpiffe(dev.dir);
    await dev.createEntry(web);
    await dev.createEntry(api);
  });
  afterAll(async () => {
    await dev[Symbol.asyncDispose]();
  });
  const client = (command: string, ...flags: readonly string[]): Talker =>
    new Talker(binary, ["-socket", dev.ready.socket, ...flags, command]);

  test("FetchX509Context: both identities, and x509svid.Verify holds for each", async () => {
    await using talker = client("fetch");
    const { ids, bundles } = await talker.next(fetched);
    expect(ids.toSorted()).toEqual([api, web]);
    expect(bundles).toBe(1);
  });

  test("spiffebundle.Parse reads the bundle document as it is published", async () => {
    await using talker = client("parse-bundle", "-domain", "example.org");
    talker.end(publishedBundle(dev.dir));
    const { authorities, sequence, refreshHint } = await talker.next(parsed);
    expect(authorities).toBe(1);
    // Epoch in the upper half (protocol.md, State): above what a double holds exactly.
    expect(BigInt(sequence)).toBeGreaterThan(2n ** 32n);
    expect(refreshHint).toBeGreaterThan(0);
  });

  test("mutual TLS between two X509Sources: no handshake fails through a CA rotation, to the old root's removal and beyond", async () => {
    await using server = client("serve", "-id", api, "-peer", web);
    const { addr } = await server.next(listening);
    await using caller = client("call", "-id", web, "-peer", api, "-addr", addr);
    expect(await caller.next(begun)).toEqual({ begun: true });
    await dev.mustHerald("ca", "rotate", "--json");
    const { authorities } = JSON.parse(await dev.mustHerald("ca", "list", "--json")) as {
      readonly authorities: readonly { readonly status: string }[];
    };
    expect(authorities.map(({ status }) => status).toSorted()).toEqual(["active", "revoked"]);
    // One that never saw the old root is believed by those that cannot say that they let go of it, and believes them.
    await using late = client("call", "-id", web, "-peer", api, "-addr", addr);
    expect(await late.next(begun)).toEqual({ begun: true });
    late.end();
    expect((await late.next(called)).failures).toEqual([]);
    caller.end();
    const { handshakes, failures, own, theirs } = await caller.next(called);
    expect(failures).toEqual([]);
    expect(handshakes).toBeGreaterThan(100);
    // Both were re-issued under way.
    expect({ own, theirs }).toEqual({ own: 2, theirs: 2 });
  });
});
