import { expect, test } from "vitest";
import { printProgress } from "../../src/cli/rotation-line.ts";
import { facts, table } from "../../src/cli/table.ts";

const escape = "\u001b]0;owned\u0007\n+0.1s   done";

test("TM-N-01: what a node says of its consumers moves no terminal and fakes no line", () => {
  const waiting = {
    node: "spiffe://example.org/herald/node/join_token/web-1",
    consumer: `sds ${escape}`,
    reason: `refused ROOTCA: ${escape}`,
    blocks: true,
    lost: false,
    until: 0n,
    svids: 0,
  };
  const line = printProgress({
    id: "r",
    kind: "rotate",
    from: "a",
    to: "b",
    step: "remove",
    paused: false,
    liveNodes: 1,
    waiting: [waiting],
    passed: [],
  } as never);
  expect(line).toMatch(/^\P{Cc}+$/u);
  expect(facts([["consumer", escape]]).trimEnd()).toMatch(/^\P{Cc}+$/u);
  expect(table(["LABELS"], [[escape]]).split("\n")).toHaveLength(3);
});
