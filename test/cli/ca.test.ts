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
});
const prepare: RotationProgress = {
  id: "r1",
  step: "prepare",
  liveNodes: 5,
  waiting: [waitingFor("a"), waitingFor("b"), waitingFor("c"), waitingFor("d", true)],
};
const activate: RotationProgress = { id: "r1", step: "activate", liveNodes: 1, waiting: [] };
const done: RotationProgress = { id: "r1", step: "done", liveNodes: 5, waiting: [] };
const messages = (...all: readonly RotationProgress[]) => all.map((progress) => ({ progress }));

test("ca list shows authorities and the rotation under way", async () => {
  const authority = {
    id: "a1",
    status: "active",
    notAfter: BigInt(noon + 30 * 86_400_000),
    subjectKeyId: "00ff",
    certificate: "PEM",
  };
  using admin = await fakeAdmin({
    listAuthorities: () => ({ authorities: [authority], rotation: activate }),
  });
  const ran = await herald(["ca", "list", "--admin", admin.address]);
  expect(ran.out).toBe(
    `ID  STATUS  SUBJECT KEY ID  EXPIRES
a1  active  00ff            in 30d (2026-12-22T12:00:00Z)

rotation under way: activate the new authority signs; 1 live node, nobody to wait for
`,
  );
  const json = await herald(["ca", "list", "--json", "--admin", admin.address]);
  expect(JSON.parse(json.out)).toEqual({
    authorities: [{ ...authority, notAfter: "2026-12-22T12:00:00.000Z" }],
    rotation: activate,
  });
});

describe("ca rotate", () => {
  test("tells of every change once, those who block first, and ends with it", async () => {
    using admin = await fakeAdmin({
      rotateAuthority: () => ({ messages: messages(prepare, prepare, activate, done), open: true }),
    });
    expect(await herald(["ca", "rotate", "--admin", admin.address])).toEqual({
      code: 0,
      err: "",
      out: `+0.0s   prepare  the new root goes to every node and Envoy; 5 live nodes, waiting for d sds 12 (BLOCKS: NACK: bad), a (not acknowledged), b (not acknowledged), and 1 more
+0.0s   activate the new authority signs; 1 live node, nobody to wait for
+0.0s   done     the new authority is in use everywhere
`,
    });
  });

  test("--json prints a line a change", async () => {
    using admin = await fakeAdmin({ watchRotation: () => ({ messages: messages(prepare, done) }) });
    const ran = await herald(["ca", "rotate", "--watch", "--json", "--admin", admin.address]);
    const lines = ran.out.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([prepare, done]);
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
  ] as const)("an end before the end is a failure: %j", async ([stream, code]) => {
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
