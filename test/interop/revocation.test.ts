import { describe, expect, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { Load } from "../../demo/load.ts";
import { envoyCrlFacts } from "../support/envoy-crl-facts.ts";
import { envoyPath, envoySkipped } from "../support/parts.ts";
import { RevocationMesh } from "../support/revocation-mesh.ts";
import { statusOf } from "../support/sidecars.ts";
import { olderEnvoy, olderEnvoyIsThere } from "./support/older-envoy.ts";

const perSecond = 200;
const id = (path: string): string => `spiffe://example.org/${path}`;

interface Version {
  readonly version: string;
  readonly isThere: boolean;
  readonly path: () => string | Promise<string>;
}

const versions: readonly Version[] = [
  { version: "1.40", isThere: !envoySkipped(), path: envoyPath },
  { version: "1.36.2", isThere: olderEnvoyIsThere(), path: olderEnvoy },
];

for (const { version, isThere, path } of versions) {
  describe.skipIf(!isThere)(`revocation at Envoy ${version} (needs Envoy)`, () => {
    envoyCrlFacts(version, path);

    test("EF-20 a revoked caller is refused at its next handshake, others are untouched under load", async () => {
      await using mesh = await RevocationMesh.start(await path(), ["server", "good", "bad"]);
      const service = await mesh.sidecars.startService();
      const server = await mesh.sidecars.startEnvoy({
        name: "server",
        id: id("server"),
        side: "server",
        to: service,
      });
      const client = async (name: string, who: string, requestsPerConnection: number) =>
        await mesh.sidecars.startEnvoy({
          name,
          id: id(who),
          side: "client",
          to: server,
          requestsPerConnection,
        });
      const [good, bad, pooled] = await Promise.all([
        client("good", "good", 20),
        client("bad", "bad", 1),
        client("pooled", "bad", 1_000_000),
      ]);
      await eventually("all call", async () =>
        (await Promise.all([good, bad, pooled].map(statusOf))).every((status) => status === 200),
      );
      const load = Load.start({ port: good, perSecond });
      try {
        await eventually("load is on", () => load.count() > perSecond);
        await mesh.revoke(mesh.svid("bad").serial);
        await eventually(
          "the revoked caller is refused",
          async () => (await statusOf(bad)) === 503,
        );
        const mark = load.mark();
        await eventually("load goes on", () => load.count(mark) > perSecond);
        // EF-22: what stands already goes on.
        expect(await statusOf(pooled)).toBe(200);
        expect(await statusOf(bad)).toBe(503);
        expect(load.failures()).toEqual([]);
      } finally {
        await load.stop();
      }
    });

    test("EF-22 with --max-connection-age a connection that stood already ends too, and gets no further", async () => {
      await using mesh = await RevocationMesh.start(await path(), ["server", "good", "bad"]);
      const service = await mesh.sidecars.startService();
      const server = await mesh.sidecars.startEnvoy({
        name: "server",
        id: id("server"),
        side: "server",
        to: service,
        maxConnectionSeconds: 2,
      });
      const [good, bad] = await Promise.all(
        ["good", "bad"].map(
          async (name) =>
            await mesh.sidecars.startEnvoy({ name, id: id(name), side: "client", to: server }),
        ),
      );
      if (good === undefined || bad === undefined) throw new Error("not started");
      await eventually("both call", async () =>
        (await Promise.all([good, bad].map(statusOf))).every((status) => status === 200),
      );
      const load = Load.start({ port: good, perSecond });
      try {
        await mesh.revoke(mesh.svid("bad").serial);
        await eventually("the connection ends", async () => (await statusOf(bad)) === 503);
        const mark = load.mark();
        // Three lives of a connection, of which the good caller notices none.
        await eventually("load goes on", () => load.count(mark) > 6 * perSecond);
        expect(await statusOf(bad)).toBe(503);
        expect(load.failures()).toEqual([]);
      } finally {
        await load.stop();
      }
    });

    test("EF-20 a revoked server is refused by its callers", async () => {
      await using mesh = await RevocationMesh.start(await path(), ["server", "good"]);
      const service = await mesh.sidecars.startService();
      const server = await mesh.sidecars.startEnvoy({
        name: "server",
        id: id("server"),
        side: "server",
        to: service,
      });
      const good = await mesh.sidecars.startEnvoy({
        name: "good",
        id: id("good"),
        side: "client",
        to: server,
        requestsPerConnection: 1,
      });
      await eventually("it calls", async () => (await statusOf(good)) === 200);
      await mesh.revoke(mesh.svid("server").serial);
      await eventually("the server is refused", async () => (await statusOf(good)) === 503);
    });
  });
}
