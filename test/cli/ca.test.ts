import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { RotationProgress } from "../../src/wire/herald/v1/authorities.ts";
import { fakeAdmin, refusal } from "./support/fake-admin.ts";
import { herald, noon } from "./support/run.ts";

const waitingFor = (node: string, blocks = false) => ({
  node,
  consumer: blocks ? "sds 12" : "",
  reason: blocks ? "NACK: bad" : "not acknowledged",
  blocks,
  lost: false,
  until: 0n,
  svids: 0,
});
const prepare: RotationProgress = {
  id: "r1",
  kind: "rotate",
  step: "prepare",
  from: "a0",
  to: "a1",
  taints: false,
  paused: false,
  liveNodes: 5,
  waiting: [waitingFor("a"), waitingFor("b"), waitingFor("c"), waitingFor("d", true)],
  passed: [],
};
const reissue: RotationProgress = { ...prepare, step: "reissue", liveNodes: 1, waiting: [] };
const done: RotationProgress = { ...prepare, step: "done", waiting: [] };
const lost = {
  ...waitingFor("web-7"),
  reason: "has not told",
  lost: true,
  until: BigInt(noon + 3_600_000),
  svids: 2,
};
const told = (progress: RotationProgress): unknown => ({
  ...progress,
  waiting: progress.waiting.map((one) => ({ ...one, until: null })),
});
const messages = (...all: readonly RotationProgress[]) => all.map((progress) => ({ progress }));

test("ca list shows authorities and the rotation under way", async () => {
  const authority = {
    id: "a1",
    status: "active",
    notAfter: BigInt(noon + 30 * 86_400_000),
    subjectKeyId: "00ff",
    certificate: "PEM",
    uses: [{ node: "web-1", svids: 3, until: BigInt(noon + 60_000) }],
    nextStep: "is rotated",
    nextAt: BigInt(noon + 20 * 86_400_000),
  };
  const old = { ...authority, id: "a0", status: "old", nextStep: "expires", nextAt: 0n };
  using admin = await fakeAdmin({
    listAuthorities: () => ({ authorities: [old, authority], rotation: reissue }),
  });
  const ran = await herald(["ca", "list", "--admin", admin.address]);
  expect(ran.out).toBe(
    `ID  STATUS  SUBJECT KEY ID  LIVE SVIDS      EXPIRES                        NEXT
a0  old     00ff            3 on 1 node(s)  in 30d (2026-12-22T12:00:00Z)  expires
a1  active  00ff            3 on 1 node(s)  in 30d (2026-12-22T12:00:00Z)  is rotated in 20d (2026-12-12T12:00:00Z)

a0 has live SVIDs on
  web-1: 3, the last ends in 1m (2026-11-22T12:01:00Z)

rotation under way: reissue  every SVID of the old authority is signed anew; 1 live node, nobody to wait for
`,
  );
  const json = await herald(["ca", "list", "--json", "--admin", admin.address]);
  expect(JSON.parse(json.out)).toEqual({
    authorities: [old, authority].map((one) => ({
      ...one,
      notAfter: "2026-12-22T12:00:00.000Z",
      uses: [{ node: "web-1", svids: 3, until: "2026-11-22T12:01:00.000Z" }],
      nextAt: one === old ? null : "2026-12-12T12:00:00.000Z",
    })),
    rotation: told(reissue),
  });
});

describe("ca rotate", () => {
  test("tells of every change once, those who block first, and ends with it", async () => {
    using admin = await fakeAdmin({
      rotateAuthority: () => ({ messages: messages(prepare, prepare, reissue, done), open: true }),
    });
    expect(await herald(["ca", "rotate", "--admin", admin.address])).toEqual({
      code: 0,
      err: "",
      out: `+0.0s   prepare  the new root goes to every node and Envoy; 5 live nodes, waiting for d sds 12 (BLOCKS: NACK: bad), a (not acknowledged), b (not acknowledged), and 1 more
+0.0s   reissue  every SVID of the old authority is signed anew; 1 live node, nobody to wait for
+0.0s   done     nobody needs the old authority
`,
    });
  });

  test("--json prints a line a change", async () => {
    using admin = await fakeAdmin({ watchRotation: () => ({ messages: messages(prepare, done) }) });
    const ran = await herald(["ca", "rotate", "--watch", "--json", "--admin", admin.address]);
    const lines = ran.out.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([told(prepare), told(done)]);
    expect(ran.code).toBe(0);
  });

  test("Ctrl-C says that the rotation goes on", async () => {
    using admin = await fakeAdmin({
      rotateAuthority: () => ({ messages: messages(prepare), open: true }),
    });
    const ran = await herald(["ca", "rotate", "--admin", admin.address], {
      onOut: (_, interrupt) => interrupt(),
    });
    expect(ran.code).toBe(1);
    expect(ran.err).toBe(
      "herald: the rotation goes on without this command\n  try: herald ca rotate --watch\n",
    );
  });

  test.for([
    [{ messages: messages(prepare) }, "ROTATION_UNFINISHED"],
    [{ messages: messages(prepare), fail: refusal(status.UNAVAILABLE, "gone") }, "UNAVAILABLE"],
    [
      {
        messages: [],
        fail: refusal(status.FAILED_PRECONDITION, "ROTATION_RUNNING: one runs; wait"),
      },
      "ROTATION_RUNNING",
    ],
  ] as const)("an end before the end is a failure: %#", async ([stream, code]) => {
    using admin = await fakeAdmin({ rotateAuthority: () => stream });
    const ran = await herald(["ca", "rotate", "--json", "--admin", admin.address]);
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.err)).toMatchObject({ error: { code } });
  });

  test("--watch with nothing to watch says so", async () => {
    using admin = await fakeAdmin({ watchRotation: () => ({ messages: [] }) });
    const ran = await herald(["ca", "rotate", "--watch", "--admin", admin.address]);
    expect(ran).toMatchObject({
      code: 1,
      err: "herald: no rotation is under way\n  try: herald ca rotate, to begin one\n",
    });
  });
});

describe("steering a rotation", () => {
  test("names who was not waited for, and the end that was no success", async () => {
    const passed = [{ node: "web-7", step: "prepare", why: "lost" }];
    using admin = await fakeAdmin({
      watchRotation: () => ({
        messages: messages(
          { ...reissue, paused: true, waiting: [lost] },
          { ...done, step: "aborted", passed },
        ),
      }),
    });
    expect(await herald(["ca", "rotate", "--watch", "--admin", admin.address])).toMatchObject({
      code: 1,
      out: `+0.0s   reissue  every SVID of the old authority is signed anew; PAUSED; 1 live node, waiting for web-7 (LOST: has not told, until 2026-11-22T13:00:00Z at the latest)
+0.0s   aborted  all is as it was before; NOT WAITED FOR: web-7 (lost, at prepare)
`,
    });
  });

  test.for([
    [["--pause"], { order: "pause", node: "" }],
    [["--resume"], { order: "resume", node: "" }],
    [["--abort"], { order: "abort", node: "" }],
    [["--past", "spiffe://td/n"], { order: "past", node: "spiffe://td/n" }],
  ] as const)("%j is one order", async ([args, order]) => {
    const asked: unknown[] = [];
    using admin = await fakeAdmin({
      steerRotation: (request) => {
        asked.push(request);
        return { progress: reissue };
      },
    });
    const ran = await herald(["ca", "rotate", ...args, "--admin", admin.address]);
    expect(asked).toEqual([order]);
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("reissue") as unknown });
  });

  test.for([
    [[], false, "Nothing was done. `herald ca rotate --force --yes` does it."],
    [["--yes"], true, "cut off:"],
  ] as const)("--force %j says what would be, or was, cut off", async ([more, confirmed, said]) => {
    const asked: boolean[] = [];
    using admin = await fakeAdmin({
      forceRotation: (request) => {
        asked.push(request.confirmed);
        return { cutOff: [lost], progress: reissue };
      },
    });
    const ran = await herald(["ca", "rotate", "--force", ...more, "--admin", admin.address]);
    expect(asked).toEqual([confirmed]);
    expect(ran.out).toContain("  web-7 (LOST: has not told, until 2026-11-22T13:00:00Z");
    expect(ran.out).toContain(said);
  });

  test.for([[["--pause", "--abort"]], [["--yes"]], [["--watch", "--force"]]] as const)(
    "%j is a usage error",
    async ([args]) => {
      const ran = await herald(["ca", "rotate", ...args]);
      expect(ran.code).toBe(2);
    },
  );
});

test("ca prepare, activate, taint, revoke and prune say what became of it", async () => {
  const asked: unknown[] = [];
  const stream = (request: { readonly id: string }) => {
    asked.push(request.id);
    return { messages: messages({ ...done, kind: "activate" }) };
  };
  const authority = {
    id: "a1",
    status: "prepared",
    notAfter: 0n,
    subjectKeyId: "00ff",
    certificate: "PEM",
    uses: [],
    nextStep: "",
    nextAt: 0n,
  };
  using admin = await fakeAdmin({
    prepareAuthority: () => ({ authority }),
    activateAuthority: stream,
    taintAuthority: stream,
    revokeAuthority: stream,
    pruneAuthorities: () => ({ removed: ["a0"], kept: [{ id: "a2", waiting: [lost] }] }),
  });
  const ran = async (...args: string[]): Promise<string> =>
    (await herald(["ca", ...args, "--admin", admin.address])).out;
  expect(await ran("prepare")).toContain("a1 is prepared");
  expect(await ran("activate")).toContain("the old one is still trusted");
  expect(await ran("taint", "a1")).toContain("done");
  expect(await ran("revoke", "a1")).toContain("done");
  expect(asked).toEqual(["", "a1", "a1"]);
  expect(await ran("prune")).toBe(
    "removed: a0\na2 stays for web-7 (LOST: has not told, until 2026-11-22T13:00:00Z at the latest)\n",
  );
  expect(JSON.parse(await ran("prune", "--json"))).toMatchObject({
    removed: ["a0"],
    kept: [{ id: "a2", waiting: [{ until: "2026-11-22T13:00:00.000Z" }] }],
  });
});
