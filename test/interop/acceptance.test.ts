import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Dev } from "../support/dev.ts";
import { envoySkipped } from "../support/parts.ts";
import { StartedEnvoy } from "./support/envoy.ts";
import { buildGoSpiffe, goIsThere } from "./support/go-spiffe.ts";
import { pySpiffe, pySpiffeClient } from "./support/py-spiffe.ts";
import { pythonIsThere } from "./support/python-env.ts";
import { Talker } from "./support/talker.ts";

/** As design.md has it, and nothing else: tests by others lean on it. */
const readyLine = z.strictObject({
  ready: z.literal(true),
  trustDomain: z.literal("example.org"),
  socket: z.string(),
  admin: z.string().regex(/^unix:\/\/\/.+\.sock$/),
  https: z.string().regex(/^https:\/\/127\.0\.0\.1:\d+$/),
  nats: z.string().regex(/^tls:\/\/127\.0\.0\.1:\d+$/),
  metrics: z.string().regex(/^http:\/\/127\.0\.0\.1:\d+$/),
});

const me = "spiffe://example.org/x";

/** The issue's own words: `herald dev`, then one `entry create`, then any client at that socket has its SVID. */
describe("herald dev, entry create, and a client has its SVID", () => {
  let dev: Dev;
  beforeAll(async () => {
    dev = await Dev.start();
    // The command alone, nothing waited for: the very next client has to be served.
    const selector = `unix:uid:${process.getuid?.() ?? 0}`;
    await dev.mustHerald("entry", "create", "--spiffe-id", me, "--selector", selector);
  });
  afterAll(async () => {
    await dev[Symbol.asyncDispose]();
  });

  test("a client that asks once, right after the command", async () => {
    const told = await dev.mustHerald("fetch", "x509", "--socket", dev.ready.socket);
    expect(told).toContain(me);
  });

  test("the ready line tells where everything is", () => {
    const told = readyLine.parse(dev.ready);
    expect(told.socket).toBe(`unix://${join(dev.dir, "herald.sock")}`);
  });

  test.skipIf(!pythonIsThere())("py-spiffe (needs python3 with venv)", async () => {
    const python = await pySpiffe();
    await using talker = new Talker(python, [pySpiffeClient, dev.ready.socket, "fetch"]);
    expect(await talker.next(z.looseObject({ spiffeId: z.string() }))).toMatchObject({
      spiffeId: me,
    });
  });

  test.skipIf(!goIsThere())("go-spiffe (needs go)", async () => {
    const binary = await buildGoSpiffe(dev.dir);
    await using talker = new Talker(binary, ["-socket", dev.ready.socket, "fetch"]);
    expect(await talker.next(z.looseObject({ ids: z.array(z.string()) }))).toMatchObject({
      ids: [me],
    });
  });

  test.skipIf(envoySkipped())(
    "Envoy, by the bootstrap that Herald prints (needs Envoy)",
    async () => {
      const bootstrap = await dev.mustHerald(
        "envoy",
        "bootstrap",
        `--trust-domain=${dev.ready.trustDomain}`,
        `--socket=${dev.ready.socket}`,
        "--listen=127.0.0.1:0",
        "--upstream-app=127.0.0.1:1",
        "--admin=127.0.0.1:0",
      );
      const config = join(dev.dir, "envoy.yaml");
      writeFileSync(config, bootstrap);
      await using envoy = await StartedEnvoy.start(config);
      expect(await envoy.certificateIds()).toContain(me);
    },
  );
});
