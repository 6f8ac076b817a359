import { createSign, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { contextTag } from "../../src/core/x509/der-tag.ts";
import { bitString, element, sequence, unsignedInteger } from "../../src/core/x509/der-writer.ts";
import { makeKey, type WorldKey } from "../support/ca-world.ts";
import { signItem, verdictOf } from "../support/simulation-asker.ts";
import { openOffice } from "./support/office.ts";

/** A request that its own key signs, whatever kind of key that is; base64. */
function csrBy(key: WorldKey, attributes: Uint8Array = new Uint8Array()): string {
  const information = sequence(
    unsignedInteger(Uint8Array.of(0)),
    sequence(),
    key.spki,
    element(contextTag(0), attributes),
  );
  const signature =
    key.digest === null
      ? sign(null, information, key.privateKey)
      : createSign(key.digest).update(information).sign(key.privateKey);
  return Buffer.from(sequence(information, key.algorithm, bitString(signature))).toString("base64");
}

describe("TM-N-06: which keys are certified", () => {
  test.for<readonly [string, string, RegExp]>([
    ["P-256", csrBy(makeKey("p256")), /^signed$/],
    ["P-384", csrBy(makeKey("p384")), /^signed$/],
    ["Ed25519", csrBy(makeKey("ed25519")), /^CSR_INVALID: .*P-256 or P-384/],
    ["RSA 2048", csrBy(makeKey("rsa2048")), /^CSR_INVALID: .*P-256 or P-384/],
    ["a CSR above 4 KiB", csrBy(makeKey(), Buffer.alloc(4096)), /^CSR_INVALID: .*4096 bytes/],
    ["no CSR at all", "", /^CSR_INVALID/],
  ])("for a workload, %s", async ([, csr, expected]) => {
    const office = await openOffice();
    const east = await office.node("east");
    const item = { ...(await signItem(await office.entry("/web"))), csr };
    const answer = await east.send("sign-request", await east.signRequest([item]));
    const said =
      answer.kind === "sign-reply"
        ? answer.payload.results.map((one) => (one.ok ? "signed" : `${one.code}: ${one.reason}`))
        : [verdictOf(answer)];
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(expected);
  });

  test.for<readonly [string, string, string]>([
    ["P-384, with which it could not sign requests", csrBy(makeKey("p384")), "CSR_INVALID"],
    ["Ed25519", csrBy(makeKey("ed25519")), "CSR_INVALID"],
    ["RSA 2048", csrBy(makeKey("rsa2048")), "CSR_INVALID"],
    ["P-256", csrBy(makeKey("p256")), "accepted"],
  ])("for a node itself, %s: $2", async ([, csr, expected]) => {
    const office = await openOffice();
    const joinString = await office.token("west");
    const enrolled = verdictOf(
      await office.stranger("west").enrol(joinString, { payload: { csr } }),
    );
    expect(enrolled).toBe(expected === "accepted" ? "enrol-reply" : expected);
    const east = await office.node("east");
    const renewal = await east.send("renew-request", await east.request("renew-request", { csr }));
    expect(verdictOf(renewal)).toBe(expected === "accepted" ? "renew-reply" : expected);
  });
});
