import { describe, expect, test } from "vitest";
import { keyOfSeed } from "../../src/core/envelope/join-string.ts";
import { tokenSigner } from "../../src/core/envelope/signers.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { type Bend, csrOf, verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { openOffice } from "./support/office.ts";

const minuteMs = 60_000;

describe("redeeming a join token", () => {
  test("ENR-01: the right node with its token gets a certificate, the state, and a sealed secret", async () => {
    const office = await openOffice();
    const node = office.stranger("east");
    const answer = await node.enrol(await office.token("east"));
    if (answer.kind !== "enrol-reply") throw new RangeError(verdictOf(answer));
    const [leaf = ""] = answer.payload.chain;
    const certificate = parseCertificate(Buffer.from(leaf, "base64"));
    expect(certificate.uris).toEqual([node.id]);
    expect(Buffer.from(certificate.spki)).toEqual(Buffer.from(node.key.spki));
    expect(answer.payload.state.length).toBe(5);
    expect(answer.payload.sealedBusSeed).not.toContain("seed");
  });

  test("TM-R-03: another key with a used token is refused and alarmed", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    await office.stranger("east").enrol(joinString);
    const thief = office.stranger("east");
    expect(verdictOf(await thief.enrol(joinString))).toBe("TOKEN_USED");
    expect(office.host.log.alarms).toContain("token-reuse");
  });

  test("TM-R-03: of two that race with one token, one gets in", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    const racers = ["east", "east"].map((name) => office.stranger(name));
    const verdicts = await Promise.all(
      racers.map(async (one) => verdictOf(await one.enrol(joinString))),
    );
    expect(verdicts.toSorted()).toEqual(["TOKEN_USED", "enrol-reply"]);
  });

  test("TM-R-03: a used token stays used over a restart", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    await office.stranger("east").enrol(joinString);
    await office.host.restart();
    expect(verdictOf(await office.stranger("east").enrol(joinString))).toBe("TOKEN_USED");
  });

  test("ENR-02: the same key may ask again, with another nonce, until the token expires", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    const node = office.stranger("east");
    expect(verdictOf(await node.enrol(joinString))).toBe("enrol-reply");
    expect(verdictOf(await node.enrol(joinString))).toBe("enrol-reply");
    expect(office.host.issuer.nodes.list().length).toBe(1);
  });

  test("TM-R-03: an expired token is refused", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    await office.clock.advance(10 * minuteMs + 1);
    expect(verdictOf(await office.stranger("east").enrol(joinString))).toBe("TOKEN_EXPIRED");
  });

  test("ENR-05: a name that is enrolled gets no second token", async () => {
    const office = await openOffice();
    await office.node("east");
    await expect(office.token("east")).rejects.toMatchObject({ code: "NODE_NAME_TAKEN" });
  });

  test("ENR-05: of two tokens for one name, the second takes nothing over", async () => {
    const office = await openOffice();
    const [one, other] = [await office.token("east"), await office.token("east")];
    const owner = office.stranger("east");
    await owner.enrol(one);
    expect(verdictOf(await office.stranger("east").enrol(other))).toBe("NODE_NAME");
    const [record] = office.host.issuer.nodes.list();
    expect(record?.current.keyId).toBe(owner.signer.keyId);
  });

  test("ENR-05: a node that has renewed is not set back by its own old request", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    const node = office.stranger("east");
    const first = await node.enrolRequest(joinString);
    await office.host.issuer.reception.enrol(first);
    const next = keyPair();
    await node.send(
      "renew-request",
      await node.request("renew-request", { csr: await csrOf(next) }),
    );
    node.key = next;
    await node.send("ack", await node.ackRequest({}));
    await office.host.restart();
    expect(verdictOf(node.open(await office.host.issuer.reception.enrol(first)))).not.toBe(
      "enrol-reply",
    );
    const [record] = office.host.issuer.nodes.list();
    expect(record?.current.keyId).toBe(node.signer.keyId);
  });

  test.for<readonly [string, string, Bend]>([
    ["TM-B-06: another name", "NODE_NAME", { payload: { nodeName: "west" } }],
    ["TM-B-06: another domain's pin", "TOKEN_UNKNOWN", { payload: { pin: "1".repeat(64) } }],
    ["TM-B-06: another trust domain", "TOKEN_UNKNOWN", { payload: { td: "example.com" } }],
    ["TM-B-06: another token's id", "TOKEN_UNKNOWN", { payload: { token: "other" } }],
    ["TM-B-05: a seed that nobody gave out", "TOKEN_UNKNOWN", { signer: strangerSigner() }],
    ["MEC-02: an hour old", "CLOCK", { payload: { at: Date.UTC(2026, 10, 22, 11) } }],
    ["MEC-01: no CSR", "CSR_INVALID", { payload: { csr: "AAAA" } }],
    ["MEC-01: no sealing key", "CSR_INVALID", { payload: { sealingKey: "AAAA" } }],
  ])("%s is refused as %s", async ([, code, bend]) => {
    const office = await openOffice();
    const joinString = await office.token("east");
    expect(verdictOf(await office.stranger("east").enrol(joinString, bend))).toBe(code);
    // What was refused has used up nothing.
    expect(verdictOf(await office.stranger("east").enrol(joinString))).toBe("enrol-reply");
  });

  test("TM-B-05: the stored token lets nobody in", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    const seed = Buffer.from(joinString.split(".")[2] ?? "", "base64url");
    for (const bytes of (await office.host.bus.issuer("eyes").loadAll()).values()) {
      expect(Buffer.from(bytes).includes(seed)).toBe(false);
      expect(Buffer.from(bytes).includes(seed.toString("base64"))).toBe(false);
      expect(Buffer.from(bytes).includes(seed.toString("hex"))).toBe(false);
    }
  });
});

function strangerSigner(): ReturnType<typeof tokenSigner> {
  return tokenSigner(keyOfSeed(Buffer.alloc(32, 7)));
}
