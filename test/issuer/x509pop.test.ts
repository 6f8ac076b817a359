import { describe, expect, test } from "vitest";
import { certificateSigner } from "../../src/core/envelope/signers.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { extendedKeyUsage, keyUsage } from "../../src/core/x509/extension-writer.ts";
import { oid } from "../../src/core/x509/oid.ts";
import { fillIn, parseCertificateText } from "../../src/issuer/certificate-text.ts";
import {
  commonName,
  extension,
  hour,
  makeAuthority,
  makeKey,
  noon,
  type SvidBend,
} from "../support/ca-world.ts";
import { verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import {
  enrolAnswer,
  enrolMachine,
  type Machine,
  machine,
  machineOffice,
  machineRequest,
  operatorCa,
  textOf,
} from "./support/machine.ts";

function nodesOf(office: Awaited<ReturnType<typeof machineOffice>>) {
  return office.host.issuer.nodes.list();
}

describe("a machine with a certificate of the operator's CA", () => {
  test.for(["p256", "p384", "rsa2048"] as const)(
    "ENR-05: gets the identity that its certificate names, with a key on %s",
    async (kind) => {
      const ca = operatorCa();
      const office = await machineOffice(ca, { labels: { rack: textOf("r-{dns}") } });
      const nodeKey = keyPair();
      const one = machine(ca, "web-1", { key: makeKey(kind) });
      const answer = await enrolAnswer(office, await machineRequest(office, one, { nodeKey }));
      if (answer.kind !== "enrol-reply") throw new RangeError(verdictOf(answer));
      const leaf = parseCertificate(Buffer.from(answer.payload.chain[0] ?? "", "base64"));
      expect(leaf.uris).toEqual(["spiffe://example.org/herald/node/x509pop/web-1"]);
      // The node's own key is certified, not the one of the operator's certificate.
      expect(Buffer.from(leaf.spki)).toEqual(Buffer.from(nodeKey.spki));
      expect(nodesOf(office)[0]?.labels).toEqual({ rack: "r-web-1.corp" });
      expect(office.host.audit.records.at(-1)?.payload.action).toMatchObject({
        kind: "node-enrolled",
        by: expect.stringMatching(/^x509pop certificate [0-9a-f]{64} serial 4a/) as unknown,
      });
    },
  );

  test("through an intermediate that comes with it", async () => {
    const ca = operatorCa();
    const office = await machineOffice(ca);
    const middle = makeAuthority({ trustDomain: "corp.example", parent: ca });
    const one = { ...machine(middle, "web-1"), intermediates: [middle.der] };
    expect(await enrolMachine(office, one)).toBe("enrol-reply");
  });

  test("ENR-03: installed anew, takes its own place: the old key is retired, an operator's labels stay", async () => {
    const ca = operatorCa();
    const office = await machineOffice(ca);
    const one = machine(ca, "web-1");
    await enrolMachine(office, one);
    const [before] = nodesOf(office);
    if (before === undefined) throw new RangeError("not enrolled");
    await office.host.issuer.nodes.records.label(before.node, {
      set: new Map([["canary", "yes"]]),
      remove: [],
    });
    expect(await enrolMachine(office, one)).toBe("enrol-reply");
    const [after] = nodesOf(office);
    expect(after?.current.keyId).not.toBe(before.current.keyId);
    expect(after).toMatchObject({ retired: [before.current.keyId], labels: { canary: "yes" } });
    expect(nodesOf(office).length).toBe(1);
  });

  test("a name by fingerprint, DNS name or URI", async () => {
    const ca = operatorCa();
    const uris = ["spiffe://corp.example/host/web-1", "urn:other"];
    const leaf = parseCertificate(machine(ca, "cn", { uris }).leaf);
    const filled = ["{fingerprint}", "{dns}", "{uri:spiffe://corp.example/host/}", "x-{serial}"];
    expect(filled.map((text) => fillIn(textOf(text), leaf))).toEqual([
      expect.stringMatching(/^[0-9a-f]{64}$/),
      "cn.corp",
      "web-1",
      `x-${leaf.serial}`,
    ]);
    expect(["{who}", "{cn", "cn}", "{uri:}"].map(parseCertificateText)).toEqual(
      Array.from({ length: 4 }, () => undefined),
    );
  });
});

describe("attackers", () => {
  const ca = operatorCa();

  test.for<readonly [string, SvidBend]>([
    ["an expired certificate", { notAfter: noon - 2000 }],
    ["one that is not valid yet", { notBefore: noon + hour }],
    [
      "a CA's certificate",
      {
        replace: {
          [oid.basicConstraints]: extension(
            oid.basicConstraints,
            true,
            Uint8Array.of(0x30, 3, 1, 1, 0xff),
          ),
        },
      },
    ],
    [
      "one that may sign certificates",
      { replace: { [oid.keyUsage]: keyUsage("digitalSignature", "keyCertSign") } },
    ],
    ["one for signing nothing", { replace: { [oid.keyUsage]: keyUsage("keyEncipherment") } }],
    [
      "a server's, not a client's",
      { replace: { [oid.extendedKeyUsage]: extendedKeyUsage(oid.serverAuth) } },
    ],
    [
      "one with an unknown critical extension",
      { add: [extension("1.2.3.4", true, Uint8Array.of(5, 0))] },
    ],
    ["a weak RSA key", { key: makeKey("rsa1024") }],
  ])("XPOP-01: %s lets nobody in", async ([, bend]) => {
    const office = await machineOffice(ca);
    const one = machine(ca, "web-1", bend);
    // A signer that signs with whatever key there is: the issuer is who must refuse.
    const willing = certificateSigner(makeKey().privateKey, [one.leaf]);
    const bend2 = bend.key === undefined ? {} : { signer: willing };
    const verdict = await enrolMachine(
      office,
      bend.key === undefined ? one : { ...one, key: makeKey() },
      bend2,
    );
    expect(verdict).toBe("CERTIFICATE_INVALID");
    expect(nodesOf(office)).toEqual([]);
  });

  test("XPOP-01: a foreign CA's and a self-signed certificate let nobody in", async () => {
    const office = await machineOffice(ca);
    const namesake = makeAuthority({
      trustDomain: "corp.example",
      subject: ca.certificate.subject,
    });
    expect(await enrolMachine(office, machine(operatorCa(), "web-1"))).toBe("CERTIFICATE_INVALID");
    expect(await enrolMachine(office, machine(namesake, "web-1"))).toBe("CERTIFICATE_INVALID");
    const own = makeAuthority({ trustDomain: "corp.example" });
    const selfSigned: Machine = { key: own.key, leaf: own.der, intermediates: [] };
    expect(await enrolMachine(office, selfSigned)).toBe("CERTIFICATE_INVALID");
    // Even when the operator's own CA itself asks.
    expect(await enrolMachine(office, { key: ca.key, leaf: ca.der, intermediates: [] })).toBe(
      "CERTIFICATE_INVALID",
    );
  });

  test("XPOP-02: somebody else's certificate without its key", async () => {
    const office = await machineOffice(ca);
    const thief = { ...machine(ca, "web-1"), key: makeKey() };
    expect(await enrolMachine(office, thief)).toBe("silence");
    const claimed = certificateSigner(thief.key.privateKey, [thief.leaf]);
    const { keyId } = certificateSigner(machine(ca, "x").key.privateKey, [thief.leaf]);
    expect(await enrolMachine(office, thief, { signer: { ...claimed, keyId } })).toBe("silence");
  });

  test("XPOP-02: a signature over another nonce, CSR or moment", async () => {
    const office = await machineOffice(ca);
    const bytes = await machineRequest(office, machine(ca, "web-1"));
    const envelope = JSON.parse(Buffer.from(bytes).toString("utf8")) as { payload: string };
    const payload = JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")) as object;
    for (const bend of [{ nonce: "other" }, { csr: "AAAA" }, { at: noon + 1 }]) {
      const bent = Buffer.from(JSON.stringify({ ...payload, ...bend })).toString("base64");
      const sent = Buffer.from(JSON.stringify({ ...envelope, payload: bent }));
      await expect(office.host.issuer.reception.enrol(sent)).rejects.toMatchObject({
        code: "ENVELOPE_SIGNATURE",
      });
    }
  });

  test("XPOP-03: another certificate for the same key does not lend its name", async () => {
    const office = await machineOffice(ca);
    const one = machine(ca, "web-1");
    const other = machine(ca, "admin", { key: one.key });
    const request = await machineRequest(office, one);
    // Whoever carries the request puts the other leaf beside the signature.
    const swapped = Buffer.from(request)
      .toString("utf8")
      .replace(
        Buffer.from(one.leaf).toString("base64"),
        Buffer.from(other.leaf).toString("base64"),
      );
    expect(verdictOf(await enrolAnswer(office, Buffer.from(swapped)))).toBe("CERTIFICATE_INVALID");
  });

  test("XPOP-04: an old request is refused; a fresh one, replayed, sets nothing back", async () => {
    const office = await machineOffice(ca);
    const one = machine(ca, "web-1");
    const first = await machineRequest(office, one);
    await enrolAnswer(office, first);
    expect(await enrolMachine(office, one)).toBe("enrol-reply");
    const current = nodesOf(office)[0]?.current.keyId;
    await office.host.restart();
    expect(verdictOf(await enrolAnswer(office, first))).toBe("KEY_RETIRED");
    expect(nodesOf(office)[0]?.current.keyId).toBe(current);
    await office.clock.advance(61_000);
    expect(verdictOf(await enrolAnswer(office, first))).toBe("CLOCK");
  });

  test.for(["../issuer", "a/b", "", ".", "..", "-x", "ü", "a".repeat(129), "*"])(
    "XPOP-05: the common name %j is no node's",
    async (name) => {
      const office = await machineOffice(ca);
      expect(await enrolMachine(office, machine(ca, name, { dnsNames: ["x"] }))).toBe("NODE_NAME");
    },
  );

  test("XPOP-05: two DNS names where one names the node", async () => {
    const office = await machineOffice(ca, { name: textOf("{dns}") });
    const one = machine(ca, "web-1", { dnsNames: ["web-1", "admin"] });
    expect(await enrolMachine(office, one)).toBe("NODE_NAME");
  });

  test("XPOP-06: a serial on the deny list", async () => {
    const one = machine(ca, "web-1");
    const { serial } = parseCertificate(one.leaf);
    const office = await machineOffice(ca, { deniedSerials: [serial] });
    expect(await enrolMachine(office, one)).toBe("CERTIFICATE_INVALID");
  });

  test("XPOP-07: one attestor's proof passes for no other's, and takes no other's names", async () => {
    const office = await machineOffice(ca);
    const joined = await office.node("web-1");
    expect(await enrolMachine(office, machine(ca, "web-1"))).toBe("enrol-reply");
    expect(nodesOf(office).map(({ node }) => node)).toEqual([
      joined.id,
      "spiffe://example.org/herald/node/x509pop/web-1",
    ]);
    const key = machine(ca, "west");
    const signer = certificateSigner(key.key.privateKey, [key.leaf]);
    const west = office.stranger("west");
    await expect(west.enrol(await office.token("west"), { signer })).rejects.toMatchObject({
      code: "ENVELOPE_SIGNER",
    });
  });

  test("XPOP-07: an attestor that is off takes nothing, and none is on by itself", async () => {
    const certificatesOnly = await machineOffice(ca, { joinToken: false });
    await expect(certificatesOnly.token("web-1")).rejects.toMatchObject({ code: "ATTESTOR_OFF" });
    const tokensOnly = await machineOffice(ca);
    const joinString = await tokensOnly.token("east");
    const request = await certificatesOnly.stranger("east").enrolRequest(joinString);
    expect(verdictOf(await enrolAnswer(certificatesOnly, request))).toBe("ATTESTOR_OFF");
  });

  test("TM-N-04: the certificate of a banned machine does not let it in again", async () => {
    const office = await machineOffice(ca);
    const one = machine(ca, "web-1");
    await enrolMachine(office, one);
    const [record] = nodesOf(office);
    if (record === undefined) throw new RangeError("not enrolled");
    await office.host.issuer.nodes.records.ban(record.node);
    expect(await enrolMachine(office, one)).toBe("NODE_BANNED");
  });

  test("two common names where one names the node", async () => {
    const office = await machineOffice(ca);
    const [one, two] = [commonName("web-1"), commonName("admin")];
    const both = Buffer.concat([one.subarray(2), two.subarray(2)]);
    const subject = Buffer.concat([Uint8Array.of(0x30, both.length), both]);
    expect(await enrolMachine(office, machine(ca, "x", { subject }))).toBe("NODE_NAME");
  });
});
