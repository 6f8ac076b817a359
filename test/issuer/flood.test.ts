import { describe, expect, test } from "vitest";
import { Admission, defaultAdmission } from "../../src/issuer/door/admission.ts";
import { Entrance, TurnedAway } from "../../src/issuer/door/entrance.ts";
import { rateOf } from "../../src/kit/token-bucket.ts";
import type { Asker } from "../support/simulation-asker.ts";
import { signItem, verdictOf } from "../support/simulation-asker.ts";
import { type Office, openOffice } from "./support/office.ts";

/** What became of a request: an answer's kind or refusal, or silence. */
async function fate(asker: Asker, asked: Promise<Uint8Array>): Promise<string> {
  try {
    return verdictOf(asker.open(await asked));
  } catch (thrown) {
    return thrown instanceof TurnedAway ? "silence" : `silence of another kind: ${String(thrown)}`;
  }
}

function counts(fates: readonly string[]): Readonly<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const one of fates) counted[one] = (counted[one] ?? 0) + 1;
  return counted;
}

function ask(office: Office, asker: Asker, bytes: Uint8Array): Promise<Uint8Array> {
  return office.host.issuer.reception.handle({ kind: "sign", node: asker.token, bytes });
}

describe("TM-N-06: one of a hundred nodes floods", () => {
  test("the others all get their answers, and none of them waits for more than a share", async () => {
    const office = await openOffice();
    const web = await office.entry("/web");
    const loud = await office.node("loud");
    const item = await signItem(web);
    const flood = await Promise.all(
      Array.from({ length: 700 }, () => loud.signRequest([item, item, item])),
    );
    const quiet: Asker[] = [];
    for (let n = 1; n < 100; n += 1) quiet.push(await office.node(`quiet-${n}`));
    const own = await Promise.all(quiet.map((asker) => asker.signRequest([item])));

    const order: string[] = [];
    const flooding = flood.map((bytes) =>
      fate(loud, ask(office, loud, bytes)).then((one) => {
        if (one === "sign-reply") order.push("loud");
        return one;
      }),
    );
    const others = quiet.map((asker, n) =>
      fate(asker, ask(office, asker, own[n] ?? Buffer.alloc(0))).then((one) => {
        order.push("quiet");
        return one;
      }),
    );
    expect(counts(await Promise.all(others))).toEqual({ "sign-reply": 99 });
    const loudFates = counts(await Promise.all(flooding));
    // Its bucket holds 500; of the rest a few are told "later", and the others nothing at all.
    expect(loudFates["sign-reply"]).toBe(500);
    expect(loudFates["busy"]).toBe(defaultAdmission.nodeBusy.burst);
    expect(loudFates["silence"]).toBe(200 - defaultAdmission.nodeBusy.burst);
    // The quiet ones came after 500 of the loud one, and are through long before it is.
    expect(order.lastIndexOf("quiet")).toBeLessThan(order.lastIndexOf("loud") - 150);
  });

  test("of a flood of busy answers no flood of signatures comes, whoever asks", () => {
    const admission = new Admission(defaultAdmission, 0);
    let signed = 0;
    for (let node = 0; node < 1000; node += 1)
      for (let n = 0; n < 20; n += 1)
        if (admission.later({ node: `n${node}`, known: true }, 1000, 0).kind === "busy")
          signed += 1;
    expect(signed).toBe(defaultAdmission.busy.burst);
  });
});

describe("TM-N-06: names that belong to no node", () => {
  test("share one limit however many are invented, take no memory, and leave the nodes alone", async () => {
    const admission = new Admission(defaultAdmission, 0);
    const verdicts = Array.from({ length: 100_000 }, (_, n) =>
      admission.knock({ kind: "sign", node: `invented-${n}`, known: false, size: 600 }, 0),
    );
    expect(verdicts.filter(({ kind }) => kind === "enter")).toHaveLength(100);
    expect(verdicts.some(({ kind }) => kind === "busy")).toBe(false);
    expect(admission.remembered).toBe(0);
    expect(
      admission.knock({ kind: "sign", node: "east", known: true, size: 600 }, 0),
    ).toMatchObject({ kind: "enter", lane: "east" });
  });

  test("at the issuer: an enrolled node is answered in the midst of them", async () => {
    const office = await openOffice();
    const web = await office.entry("/web");
    const east = await office.node("east");
    const nobody = office.stranger("nobody");
    const bytes = await nobody.signRequest([await signItem(web)]);
    const invented = Array.from({ length: 300 }, (_, n) =>
      fate(nobody, office.host.issuer.reception.handle({ kind: "sign", node: `x${n}`, bytes })),
    );
    const answer = await east.send("sign-request", await east.signRequest([await signItem(web)]));
    expect(verdictOf(answer)).toBe("sign-reply");
    expect(counts(await Promise.all(invented))).toEqual({ NODE_UNKNOWN: 100, silence: 200 });
  });

  test("TM-N-04: a banned node is one of them", async () => {
    const admission = new Admission(defaultAdmission, 0);
    for (let n = 0; n < 100; n += 1)
      admission.knock({ kind: "sign", node: "banned", known: false, size: 600 }, 0);
    expect(admission.knock({ kind: "sign", node: "banned", known: false, size: 600 }, 0).kind).toBe(
      "silence",
    );
  });
});

describe("TM-R-01: the same request again and again", () => {
  test("gets the same bytes, is signed once, and costs its node a lookup only", async () => {
    const office = await openOffice();
    const east = await office.node("east");
    const bytes = await east.signRequest([await signItem(await office.entry("/web"))]);
    const before = office.host.audit.records.length;
    const answers = await Promise.all(Array.from({ length: 400 }, () => ask(office, east, bytes)));
    expect(new Set(answers.map((one) => Buffer.from(one).toString("base64"))).size).toBe(1);
    expect(office.host.audit.records.length).toBe(before + 1);
    expect(office.host.counted("herald_issuer_requests_repeated_total")).toBe(399);
  });

  test("a refusal is no answer to keep: what is refused now may be right later", async () => {
    const office = await openOffice();
    const east = await office.node("east");
    const web = await office.entry("/web");
    const early = await east.signRequest([await signItem(web)], {
      payload: { at: office.clock.now() + 90_000 },
    });
    expect(await fate(east, ask(office, east, early))).toBe("CLOCK");
    await office.clock.advance(60_000);
    expect(await fate(east, ask(office, east, early))).toBe("sign-reply");
  });

  test("on another node's subject it is another request", async () => {
    const office = await openOffice();
    const [east, west] = [await office.node("east"), await office.node("west")];
    const bytes = await east.signRequest([await signItem(await office.entry("/web"))]);
    await ask(office, east, bytes);
    await expect(ask(office, west, bytes)).rejects.toMatchObject({ code: "ENVELOPE_SIGNATURE" });
  });
});

describe("TM-N-06: giant requests", () => {
  test("are not parsed, and nothing is signed for them", async () => {
    const office = await openOffice();
    const east = await office.node("east");
    const giant = Buffer.alloc(1024 * 1024, "[");
    await expect(ask(office, east, giant)).rejects.toMatchObject({ code: "CSR_INVALID" });
    await expect(office.host.issuer.reception.enrol(giant)).rejects.toMatchObject({
      code: "CSR_INVALID",
    });
    await expect(office.host.issuer.reception.renewByHttps(giant)).rejects.toMatchObject({
      code: "CSR_INVALID",
    });
  });

  test("cost as much as the CSRs that they might hold", () => {
    const admission = new Admission(
      { ...defaultAdmission, nodeItems: { perSecond: 10, burst: 500 } },
      0,
    );
    const arrival = { kind: "sign", node: "east", known: true, size: 250_000 };
    expect(admission.enter(arrival, 0)).toMatchObject({ kind: "enter", cost: 500 });
    expect(admission.enter(arrival, 0)).toEqual({ kind: "busy", retryAfterMs: 50_000 });
  });
});

describe("TM-N-06: what honest nodes do is within the limits", () => {
  test("a node with 1,000 identities starts, or is re-issued, at once", () => {
    const admission = new Admission(defaultAdmission, 0);
    const batch = { kind: "sign", node: "east", known: true, size: 26_500 };
    const verdicts = Array.from({ length: 20 }, () => [
      admission.knock(batch, 0).kind,
      admission.enter(batch, 0).kind,
    ]);
    expect(new Set(verdicts.flat())).toEqual(new Set(["enter"]));
  });

  test("6,000 SVIDs a second for one node, for a minute", () => {
    const admission = new Admission(defaultAdmission, 0);
    for (let n = 0; n < 60 * 120; n += 1) {
      const batch = { kind: "sign", node: "east", known: true, size: 26_500 };
      const now = (n * 1000) / 120;
      expect(admission.knock(batch, now).kind).toBe("enter");
      expect(admission.enter(batch, now).kind).toBe("enter");
    }
  });
});

describe("TM-N-06: the queue", () => {
  /** An entrance before a reception that works on nothing until it is told to. */
  async function stuck(limits: Partial<typeof defaultAdmission>) {
    const office = await openOffice();
    const web = await office.entry("/web");
    const begun: string[] = [];
    const open = Promise.withResolvers<void>();
    const { domain, clock, host } = office;
    const entrance = new Entrance({
      reception: {
        handle: async (request) => {
          begun.push(request.node);
          await open.promise;
          return await host.issuer.reception.handle(request);
        },
        enrol: (bytes) => host.issuer.reception.enrol(bytes),
        renewByHttps: (bytes) => host.issuer.reception.renewByHttps(bytes),
        forgetAnswers: () => host.issuer.reception.forgetAnswers(),
        stop: () => host.issuer.reception.stop(),
      },
      nodeOf: (token) => host.issuer.nodes.list().find(({ key }) => key === `record.${token}`),
      admission: { ...defaultAdmission, ...limits },
      trustDomain: domain.trustDomain,
      signer: domain.signer,
      clock,
      log: host.log,
      metrics: { increment() {}, set() {}, observe() {} },
    });
    const request = async (asker: Asker): Promise<{ readonly fate: Promise<string> }> => {
      const bytes = await asker.signRequest([await signItem(web)]);
      return { fate: fate(asker, entrance.handle({ kind: "sign", node: asker.token, bytes })) };
    };
    return { office, begun, open: () => open.resolve(), request };
  }

  test("a full queue puts the loud node's newest off, with a time to come again", async () => {
    const { office, open, request } = await stuck({ inFlightItems: 1, mostWaiting: 5 });
    const [loud, quiet] = [await office.node("loud"), await office.node("quiet")];
    const fates: Promise<string>[] = [];
    for (let n = 0; n < 8; n += 1) fates.push((await request(loud)).fate);
    fates.push((await request(quiet)).fate);
    open();
    const [last, ...told] = (await Promise.all(fates)).toReversed();
    expect(last).toBe("sign-reply");
    expect(counts(told)).toEqual({ "sign-reply": 5, busy: 3 });
  });

  test("who has waited longer than anybody would is not worked on", async () => {
    const { office, begun, open, request } = await stuck({ inFlightItems: 1, waitMs: 5000 });
    const east = await office.node("east");
    const first = (await request(east)).fate;
    const second = (await request(east)).fate;
    await office.clock.advance(5001);
    open();
    expect(await Promise.all([first, second])).toEqual(["sign-reply", "busy"]);
    expect(begun).toHaveLength(1);
  });

  test("as much is worked on at a time as was said, and no more", async () => {
    const { office, begun, open, request } = await stuck({
      inFlightItems: 3,
      nodeRequests: rateOf(100),
    });
    const east = await office.node("east");
    const fates: Promise<string>[] = [];
    for (let n = 0; n < 10; n += 1) fates.push((await request(east)).fate);
    // Each is worth two by its size, so the second fills it.
    expect(begun).toHaveLength(2);
    open();
    expect(counts(await Promise.all(fates))).toEqual({ "sign-reply": 10 });
  });
});
