import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WorkloadApiError } from "../../src/workload-api/error.ts";
import { newStream, type StreamInput, step } from "../../src/workload-api/stream.ts";
import type { Say } from "../../src/workload-api/x509-messages.ts";

const says = (content: string, serial = content): Say => ({
  kind: "message",
  message: {
    bytes: Buffer.from(content),
    versions: { svids: [{ serial, expiresAt: 1 }], sequences: new Map() },
  },
});
const later: Say = { kind: "later", error: new WorkloadApiError("NOT_READY", "soon") };
const never: Say = { kind: "never", error: new WorkloadApiError("NO_IDENTITY", "no") };

function inputOf(one: Say | "written" | "out-of-patience"): StreamInput {
  if (one === "written") return { kind: "written" };
  if (one === "out-of-patience") {
    return { kind: "out-of-patience", error: new WorkloadApiError("NOT_READY", "soon") };
  }
  return { kind: "say", say: one };
}

/** The effects of each input as one line. */
function play(inputs: readonly (Say | "written" | "out-of-patience")[]): readonly string[] {
  let state = newStream;
  return inputs.map((one) => {
    const input = inputOf(one);
    const [next, effects] = step(state, input);
    state = next;
    return effects
      .map((effect) => {
        if (effect.kind === "send") return `send ${String(effect.bytes)}`;
        if (effect.kind === "wait") return `wait ${effect.error.code}`;
        if (effect.kind === "end") return `end ${effect.error.code}`;
        return `flushed ${effect.versions.svids.map((svid) => svid.serial).join()}`;
      })
      .join(", ");
  });
}

describe("one Workload API stream", () => {
  test.for<readonly [string, readonly (Say | "written" | "out-of-patience")[], readonly string[]]>([
    [
      "WAPI-05 the first message at once, flushed when it is out",
      [says("a"), "written"],
      ["send a", "flushed a"],
    ],
    [
      "WAPI-06 the same content is not sent again",
      [says("a"), "written", says("a")],
      ["send a", "flushed a", "flushed a"],
    ],
    [
      "a newer version of the same content counts as given",
      [says("a"), "written", says("a", "2")],
      ["send a", "flushed a", "flushed 2"],
    ],
    [
      "WAPI-26 only the newest is sent once there is room",
      [says("a"), says("b"), says("c"), "written", "written"],
      ["send a", "", "", "flushed a, send c", "flushed c"],
    ],
    [
      "WAPI-06 there and back while the socket was full",
      [says("a"), says("b"), says("a"), "written"],
      ["send a", "", "", "flushed a, flushed a"],
    ],
    ["WEP-14 nobody from the start", [never], ["end NO_IDENTITY"]],
    [
      "WAPI-17 a lost identity ends the stream",
      [says("a"), "written", never],
      ["send a", "flushed a", "end NO_IDENTITY"],
    ],
    [
      "WAPI-17 it does not wait for a client that does not read",
      [says("a"), never],
      ["send a", "end NO_IDENTITY"],
    ],
    [
      "WEP-13 nothing known from the start",
      [later, "out-of-patience"],
      ["wait NOT_READY", "end NOT_READY"],
    ],
    [
      "WAPI-05 the first SVID came while the stream was willing to wait",
      [later, says("a"), "written", "out-of-patience"],
      ["wait NOT_READY", "send a", "flushed a", ""],
    ],
    [
      "WEP-13 a running stream keeps what it was told",
      [says("a"), "written", later, says("b")],
      ["send a", "flushed a", "", "send b"],
    ],
  ])("%s", ([, inputs, expected]) => {
    expect(play(inputs)).toEqual(expected);
  });

  test("WAPI-06 WAPI-26 whatever comes: never the same twice in a row, and the newest arrives", () => {
    const input = fc.oneof(
      fc.constantFrom("a", "b", "c").map((content) => says(content)),
      fc.constant("written" as const),
    );
    fc.assert(
      fc.property(fc.array(input, { minLength: 1, maxLength: 40 }), (inputs) => {
        // A socket has nothing to report before something was written.
        const begun: readonly (Say | "written")[] = [says("a"), ...inputs];
        const lines = play([...begun, "written", "written"]);
        const sent = lines.flatMap((line) => /send (.)/.exec(line)?.[1] ?? []);
        expect(sent.every((content, index) => content !== sent[index - 1])).toBe(true);
        const last = begun.flatMap((one) =>
          one !== "written" && one.kind === "message" ? String(one.message.bytes) : [],
        );
        expect(sent.at(-1)).toBe(last.at(-1));
      }),
    );
  });
});
