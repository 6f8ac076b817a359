import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { Load } from "../../demo/load.ts";
import { openStage, type Stage } from "../../demo/stage.ts";
import { closeFleet, fleetOptions } from "../support/fleet.ts";
import { envoySkipped } from "../support/parts.ts";

/** Where authorities stand, without what chance and time gave them. */
interface Standing {
  readonly running: boolean;
  readonly trusted: readonly string[];
  readonly activeIsNew: boolean;
  readonly activeHasNodes: number;
}

/** Requests that must have come back once all is done. */
const afterwards = 150;

describe.skipIf(envoySkipped())(
  "ca rotate under load, and SIGKILL of the issuer at each step",
  () => {
    let stage: Stage;
    let load: Load;

    beforeAll(async () => {
      stage = await openStage(fleetOptions());
      load = Load.start({ port: stage.web.port, perSecond: 200 });
      return () => closeFleet(stage.fleet);
    });
    afterAll(() => load.stop());

    async function standing(before: string): Promise<Standing> {
      const { authorities, rotation } = await stage.fleet.admin((admin) => admin.authorities());
      const trusted = authorities.filter(({ status }) => !["revoked", "expired"].includes(status));
      const active = authorities.find(({ status }) => status === "active");
      return {
        running: rotation !== undefined,
        trusted: trusted.map(({ status }) => status),
        activeIsNew: active !== undefined && active.id !== before,
        activeHasNodes: active?.uses.length ?? 0,
      };
    }

    /** One rotation from beginning to end, the issuer killed as soon as it says that it is at `at`. */
    async function rotated(at: string): Promise<Standing> {
      const { fleet } = stage;
      const before = (await fleet.admin((admin) => admin.activeAuthority())).id;
      const seen: string[] = [];
      const rotation = fleet.admin((admin) =>
        admin.rotate(({ step }) => {
          seen.push(step);
          if (step === at) fleet.issuer.signal("SIGKILL");
        }),
      );
      if (at === "nowhere") await rotation;
      else {
        await expect(rotation).rejects.toThrow();
        expect(seen.at(-1)).toBe(at);
        await fleet.issuer.stop("SIGKILL");
        await fleet.startIssuer();
      }
      await eventually("the rotation is done", async () => {
        const { running, activeHasNodes } = await standing(before);
        return !running && activeHasNodes === 2;
      });
      return await standing(before);
    }

    const undisturbed: Standing = {
      running: false,
      trusted: ["active"],
      activeIsNew: true,
      activeHasNodes: 2,
    };

    test.for(["nowhere", "prepare", "reissue", "remove"] as const)(
      "INV-6: killed %s: the same end as an undisturbed one, and no request fails",
      async (at) => {
        expect(await rotated(at)).toEqual(undisturbed);
        const until = load.count() + afterwards;
        await eventually("requests come back", () => load.count() >= until);
        expect(load.failures()).toEqual([]);
      },
    );
  },
);
