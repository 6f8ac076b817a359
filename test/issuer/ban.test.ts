import { describe, expect, test } from "vitest";
import type { NodeRecordState } from "../../src/core/envelope/payloads.ts";
import { csrOf, signItem, verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { type Office, openOffice } from "./support/office.ts";

function recordsOf(office: Office) {
  return office.host.issuer.nodes.records;
}

function recordOf(office: Office): NodeRecordState | undefined {
  return recordsOf(office).list()[0];
}

describe("a banned node gets nothing", () => {
  test("TM-N-04: every request of it is refused as NODE_BANNED, also over a restart", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const web = await office.entry("/web");
    await recordsOf(office).ban(node.id);
    for (const restart of [false, true]) {
      if (restart) await office.host.restart();
      const csr = await csrOf(keyPair());
      const verdicts = [
        await node.send("sign-request", await node.signRequest([await signItem(web)])),
        await node.send("renew-request", await node.request("renew-request", { csr })),
        await node.send(
          "state-request",
          await node.request("state-request", { nonce: "n", highest: null }),
        ),
        await node.send("ack", await node.ackRequest({})),
      ].map(verdictOf);
      expect(verdicts).toEqual(Array.from({ length: 4 }, () => "NODE_BANNED"));
    }
  });

  test("TM-N-04: a batch that was admitted before the ban is not signed after it", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const items = [await signItem(await office.entry("/web"))];
    let signed = 0;
    host.keys.onSign = () => {
      signed += 1;
    };
    // The ban comes between the record and the signature: the latest moment there is.
    const banned = Promise.withResolvers<void>();
    host.audit.onAppended = ({ payload }) => {
      if (payload.action.kind === "svids-issued")
        recordsOf(office).ban(node.id).then(banned.resolve, banned.reject);
    };
    const append = host.journal.append.bind(host.journal);
    host.journal.append = async (records) => {
      await append(records);
      if (records.some(({ kind }) => kind === "audit")) await banned.promise;
    };
    const answer = await node.send("sign-request", await node.signRequest(items));
    expect(verdictOf(answer)).toBe("NODE_BANNED");
    expect(signed).toBe(0);
  });

  test.for(["node-enrolled", "node-renewed"] as const)(
    "TM-N-04: a node's own certificate is not signed either: banned right behind %s",
    async (kind) => {
      const office = await openOffice();
      const { host } = office;
      const node = kind === "node-renewed" ? await office.node("east") : office.stranger("east");
      const joinString = kind === "node-enrolled" ? await office.token("east") : "";
      let signed = 0;
      host.keys.onSign = () => {
        signed += 1;
      };
      const banned = Promise.withResolvers<void>();
      host.audit.onAppended = ({ payload }) => {
        if (payload.action.kind === kind)
          recordsOf(office).ban(node.id).then(banned.resolve, banned.reject);
      };
      const append = host.journal.append.bind(host.journal);
      host.journal.append = async (records) => {
        await append(records);
        if (records.some(({ kind: of }) => of === "audit")) await banned.promise;
      };
      const answer =
        kind === "node-enrolled"
          ? await node.enrol(joinString)
          : await node.send(
              "renew-request",
              await node.request("renew-request", { csr: await csrOf(keyPair()) }),
            );
      expect(verdictOf(answer)).toBe("NODE_BANNED");
      expect(signed).toBe(0);
    },
  );

  test("TM-N-04: an answer that was given before is not given again", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    const node = office.stranger("east");
    const { reception } = office.host.issuer;
    const bytes = await node.enrolRequest(joinString);
    expect(verdictOf(node.open(await reception.enrol(bytes)))).toBe("enrol-reply");
    await recordsOf(office).ban(node.id);
    expect(verdictOf(node.open(await reception.enrol(bytes)))).toBe("NODE_BANNED");
  });

  test("TM-N-04: a fresh join token does not lift a ban, not even one that replaces", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    await recordsOf(office).ban(node.id);
    const { joinString } = await office.host.issuer.nodes.createToken({
      nodeName: "east",
      labels: {},
      replaces: true,
    });
    expect(verdictOf(await office.stranger("east").enrol(joinString))).toBe("NODE_BANNED");
  });

  test("TM-N-04: a renewal under way does not write the ban away", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const bytes = await node.request("renew-request", { csr: await csrOf(keyPair()) });
    const renewed = node.send("renew-request", bytes);
    await recordsOf(office).ban(node.id);
    expect(["NODE_BANNED", "renew-reply"]).toContain(verdictOf(await renewed));
    expect(recordOf(office)?.banned).toBe(true);
  });

  test("REV-05: a ban is in force before anybody else can read it", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const told: boolean[] = [];
    office.host.onStored = (key) => {
      if (key.startsWith("record.")) told.push(recordOf(office)?.banned === true);
    };
    await recordsOf(office).ban(node.id);
    expect(told).toEqual([true]);
  });
});

describe("a node that is taken out", () => {
  test("is a stranger: not listed, unknown with its old key, welcome with a new one", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const old = node.key;
    await recordsOf(office).evict(node.id);
    expect(recordsOf(office).list()).toEqual([]);
    expect(verdictOf(await node.send("ack", await node.ackRequest({})))).toBe("NODE_UNKNOWN");
    const joinString = await office.token("east");
    const copy = office.stranger("east");
    copy.key = old;
    expect(verdictOf(await copy.enrol(joinString))).toBe("KEY_RETIRED");
    expect(verdictOf(await office.stranger("east").enrol(joinString))).toBe("enrol-reply");
    expect(recordOf(office)).toMatchObject({ banned: false, retired: [node.signer.keyId] });
  });

  test("stays out over a restart", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    await recordsOf(office).evict(node.id);
    await office.host.restart();
    expect(verdictOf(await node.send("ack", await node.ackRequest({})))).toBe("NODE_UNKNOWN");
  });

  test("a ban ends with it", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    await recordsOf(office).ban(node.id);
    await recordsOf(office).evict(node.id);
    expect(verdictOf(await office.stranger("east").enrol(await office.token("east")))).toBe(
      "enrol-reply",
    );
  });
});

describe("labels", () => {
  test("TM-N-01: what entries give a node follows its labels at once", async () => {
    const office = await openOffice();
    const node = await office.node("east", { region: "eu" });
    const web = await office.entry("/web", { kind: "labels", labels: { region: "us" } });
    const items = [await signItem(web)];
    const ask = async () => {
      const answer = await node.send("sign-request", await node.signRequest(items));
      return answer.kind === "sign-reply" && answer.payload.results[0]?.ok === true;
    };
    expect(await ask()).toBe(false);
    await recordsOf(office).label(node.id, { set: new Map([["region", "us"]]), remove: [] });
    expect(await ask()).toBe(true);
    await recordsOf(office).label(node.id, { set: new Map(), remove: ["region"] });
    expect(await ask()).toBe(false);
  });

  test("what is no label is refused, and changes nothing", async () => {
    const office = await openOffice();
    const node = await office.node("east", { region: "eu" });
    await expect(
      recordsOf(office).label(node.id, { set: new Map([["a b", ""]]), remove: ["region"] }),
    ).rejects.toMatchObject({ code: "LABEL_INVALID" });
    expect(recordOf(office)?.labels).toEqual({ region: "eu" });
  });
});

describe("finding nodes", () => {
  const filter = { labels: new Map<string, string>(), attestor: "", expiringBefore: 0 };

  test("pages follow one another without a gap or a repeat", async () => {
    const office = await openOffice();
    for (const name of ["a", "b", "c", "d", "e"]) await office.node(name);
    const seen: string[] = [];
    let after = "";
    do {
      const { records, next } = recordsOf(office).page(filter, { after, size: 2 });
      seen.push(...records.map(({ node }) => node.slice(-1)));
      after = next;
    } while (after !== "");
    expect(seen).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("by label, ban, attestor and end", async () => {
    const office = await openOffice();
    const [one, two] = [await office.node("one", { tier: "web" }), await office.node("two")];
    await recordsOf(office).ban(two.id);
    const names = (more: Partial<Parameters<typeof page>[0]>) =>
      page({ ...filter, ...more }, { after: "", size: 10 }).records.map(({ node }) => node);
    const page = recordsOf(office).page.bind(recordsOf(office));
    expect(names({ labels: new Map([["tier", "web"]]) })).toEqual([one.id]);
    expect(names({ banned: true })).toEqual([two.id]);
    expect(names({ attestor: "x509pop" })).toEqual([]);
    expect(names({ expiringBefore: office.clock.now() })).toEqual([]);
    expect(names({ expiringBefore: office.clock.now() + 2 * 86_400_000 })).toEqual([
      one.id,
      two.id,
    ]);
  });

  test("by name or SPIFFE ID; what is not there is named", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    expect(recordsOf(office).find("east").node).toBe(node.id);
    expect(recordsOf(office).find(node.id).node).toBe(node.id);
    expect(() => recordsOf(office).find("west")).toThrow(/no node "west"/);
  });
});

describe("join tokens", () => {
  test("ENR-02: tokens that ended a day ago give their place to new ones, and are unknown", async () => {
    const office = await openOffice();
    const old = await office.token("east");
    await office.clock.advance(25 * 3_600_000);
    await office.token("west");
    expect(verdictOf(await office.stranger("east").enrol(old))).toBe("TOKEN_UNKNOWN");
    await office.host.restart();
    expect(office.host.journal.disk.filter(({ key }) => key.startsWith("token.")).length).toBe(2);
    expect(
      new Set(
        office.host.journal.disk.flatMap(({ key }) => (key.startsWith("token.") ? [key] : [])),
      ).size,
    ).toBe(1);
  });
});
