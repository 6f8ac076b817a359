import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { hour, makeAuthority, makeBundle } from "../support/ca-world.ts";
import { makeCrl } from "../support/crl-world.ts";
import { present, presentDates, presentSvid } from "../support/trial-envoy.ts";
import { type Rig, rig } from "../workload-api/support/server.ts";
import { view } from "../workload-api/support/views.ts";
import { buildGoSpiffe, goIsThere } from "./support/go-spiffe.ts";
import { pySpiffe, pySpiffeClient } from "./support/py-spiffe.ts";
import { pythonIsThere } from "./support/python-env.ts";
import { Talker } from "./support/talker.ts";

const web = "spiffe://example.org/web";

/** A Workload API whose messages carry a CRL that revokes the very SVID they bring. */
async function revoking(): Promise<Rig> {
  const root = makeAuthority(presentDates);
  const svid = presentSvid([root], { id: web });
  const crl = makeCrl(root, {
    thisUpdate: present - hour,
    nextUpdate: present + hour,
    revoked: [{ serial: svid.serial, at: present - 1000 }],
  });
  const seen = view([svid], [makeBundle("example.org", [root])]);
  const crls = new Map([[seen.trustDomain, { crls: [crl], intermediates: [] }]]);
  return await rig({ ...seen, crls });
}

test.skipIf(!goIsThere())(
  "WAPI-11 go-spiffe passes over CRLs: nothing breaks (needs go)",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "herald-go-"));
    try {
      await using api = await revoking();
      const binary = await buildGoSpiffe(folder);
      await using talker = new Talker(binary, ["-socket", api.address, "fetch"]);
      expect(await talker.next(z.object({ ids: z.array(z.string()) }))).toEqual({ ids: [web] });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test.skipIf(!pythonIsThere())(
  "WAPI-11 py-spiffe passes over CRLs: nothing breaks (needs python3)",
  async () => {
    await using api = await revoking();
    await using talker = new Talker(await pySpiffe(), [pySpiffeClient, api.address, "fetch"]);
    const said = await talker.next(z.object({ spiffeId: z.string(), authorities: z.number() }));
    expect(said).toEqual({ spiffeId: web, authorities: 1 });
  },
);
