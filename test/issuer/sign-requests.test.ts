import { describe, expect, test } from "vitest";
import type { SignItem } from "../../src/core/envelope/payloads.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { contextTag, tag } from "../../src/core/x509/der-tag.ts";
import {
  bitString,
  element,
  objectIdentifier,
  octetString,
  sequence,
  unsignedInteger,
} from "../../src/core/x509/der-writer.ts";
import { subjectAltName } from "../../src/core/x509/extension-writer.ts";
import type { KeyPair } from "../../src/core/x509/key-pair.ts";
import { oid } from "../../src/core/x509/oid.ts";
import { algorithmIdentifier } from "../../src/core/x509/signature-algorithm.ts";
import { keyObjectSigner } from "../../src/core/x509/signer.ts";
import { commonName } from "../support/ca-world.ts";
import { type Answer, type Asker, signItem, verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { openOffice } from "./support/office.ts";

async function ask(node: Asker, ...items: readonly SignItem[]): Promise<Answer> {
  return await node.send("sign-request", await node.signRequest(items));
}

/** What became of each item: "signed", or the code and reason of its refusal. */
function results(answer: Answer): readonly string[] {
  if (answer.kind !== "sign-reply") return [verdictOf(answer)];
  return answer.payload.results.map((one) => (one.ok ? "signed" : `${one.code}: ${one.reason}`));
}

function leafOf(answer: Answer): ReturnType<typeof parseCertificate> {
  const [first] = answer.kind === "sign-reply" ? answer.payload.results : [];
  if (first?.ok !== true) throw new RangeError(results(answer).join());
  return parseCertificate(Buffer.from(first.chain[0] ?? "", "base64"));
}

describe("sign-requests", () => {
  test("MEC-14: a node gets SVIDs for entries that hold on it: by all, by its labels, by its name", async () => {
    const { node: enrolled, entry } = await openOffice();
    const node = await enrolled("east", { zone: "a" });
    const entries = [
      await entry("/all"),
      await entry("/zone", { kind: "labels", labels: { zone: "a" } }),
      await entry("/east", { kind: "ids", ids: [node.id] }),
    ];
    const answer = await ask(node, ...(await Promise.all(entries.map((one) => signItem(one)))));
    expect(results(answer)).toEqual(["signed", "signed", "signed"]);
  });

  test("TM-N-01: an entry of another node is refused in the words for one that is not there, and audited", async () => {
    const { node: enrolled, entry, host } = await openOffice();
    const [node, other] = [await enrolled("east", { zone: "a" }), await enrolled("west")];
    const foreign = await entry("/west", { kind: "ids", ids: [other.id] });
    const zone = await entry("/zone", { kind: "labels", labels: { zone: "b" } });
    const unknown = { id: "nosuchentry", revision: 1n };
    const items = [await signItem(foreign), await signItem(zone), await signItem(unknown)];
    const [one, two, three] = results(await ask(node, ...items));
    expect([one, two]).toEqual([three, three]);
    expect(one).toMatch(/^ENTRY_UNKNOWN/);
    // A guessed revision tells nothing either.
    expect(results(await ask(node, await signItem({ id: foreign.id, revision: 9n })))).toEqual([
      three,
    ]);
    expect(host.audit.records.at(-1)?.payload.action).toMatchObject({
      kind: "svids-refused",
      node: node.id,
      refused: [{ entry: foreign.id, code: "ENTRY_UNKNOWN" }],
    });
  });

  test("TM-N-05: from a CSR with names, attributes and a subject comes the public key and nothing else", async () => {
    const { node: enrolled, entry } = await openOffice();
    const node = await enrolled("east");
    const pair = keyPair();
    const csr = await greedyCsr(pair);
    const item = { ...(await signItem(await entry("/web"))), csr };
    const leaf = leafOf(await ask(node, item));
    expect(leaf.uris).toEqual(["spiffe://example.org/web"]);
    expect(leaf.dnsNames).toEqual([]);
    expect(leaf.isCa).toBe(false);
    expect(Buffer.from(leaf.subject)).not.toEqual(Buffer.from(commonName("admin")));
    expect(Buffer.from(leaf.spki)).toEqual(Buffer.from(pair.spki));
  });

  test("MEC-01: a CSR that its key did not sign gets nothing; the rest of the batch is signed", async () => {
    const { node: enrolled, entry } = await openOffice();
    const node = await enrolled("east");
    const web = await entry("/web");
    const good = await signItem(web);
    const bytes = Buffer.from(good.csr, "base64");
    bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1);
    const answer = await ask(node, { ...good, csr: bytes.toString("base64") }, await signItem(web));
    expect(results(answer)[0]).toMatch(/^CSR_INVALID/);
    expect(results(answer)[1]).toBe("signed");
  });

  test("MEC-14: an outdated revision is refused, a deleted entry is unknown", async () => {
    const { node: enrolled, entry, host } = await openOffice();
    const node = await enrolled("east");
    const web = await entry("/web");
    const old = await signItem({ id: web.id, revision: web.revision - 1n });
    expect(results(await ask(node, old))[0]).toMatch(/^ENTRY_CHANGED/);
    await host.issuer.deleteEntry(web.id, { kind: "unix", uid: 0, pid: 1 });
    expect(results(await ask(node, await signItem(web)))[0]).toMatch(/^ENTRY_UNKNOWN/);
  });

  test("TM-R-01: the same request gets the same answer and no second SVID, whatever else its envelope carries", async () => {
    const { node: enrolled, entry, host } = await openOffice();
    const node = await enrolled("east");
    const bytes = await node.signRequest([await signItem(await entry("/web"))]);
    const first = await host.issuer.reception.handle(request(node, bytes));
    const again = await host.issuer.reception.handle(request(node, bytes));
    expect(Buffer.from(again)).toEqual(Buffer.from(first));
    // A broker may put a signature of its own beside the node's: the contents, which the digest names, are the same.
    const bent = withSecondSignature(bytes);
    const bentAnswer = await host.issuer.reception.handle(request(node, bent));
    expect(leafOf(node.open(bentAnswer)).serial).toBe(leafOf(node.open(first)).serial);
    expect(issued(host.audit.records)).toBe(1);
  });

  test("TM-R-01: after 60 s it is refused, also by an issuer that has forgotten it", async () => {
    const { node: enrolled, entry, host, clock } = await openOffice();
    const node = await enrolled("east");
    const bytes = await node.signRequest([await signItem(await entry("/web"))]);
    await node.send("sign-request", bytes);
    await clock.advance(60_001);
    await host.restart();
    expect(verdictOf(await node.send("sign-request", bytes))).toBe("CLOCK");
    expect(issued(host.audit.records)).toBe(1);
  });

  test("TM-X-04: a request from the future is refused, and the refusal tells the issuer's time", async () => {
    const { node: enrolled, entry, clock } = await openOffice();
    const node = await enrolled("east");
    const items = [await signItem(await entry("/web"))];
    const early = await node.signRequest(items, { payload: { at: clock.now() + 60_001 } });
    const answer = await node.send("sign-request", early);
    expect(verdictOf(answer)).toBe("CLOCK");
    expect(answer.payload.at).toBe(clock.now());
  });
});

function request(
  node: Asker,
  bytes: Uint8Array,
): { kind: string; node: string; bytes: Uint8Array } {
  return { kind: "sign", node: node.token, bytes };
}

function issued(
  records: readonly { readonly payload: { readonly action: { readonly kind: string } } }[],
): number {
  return records.filter(({ payload }) => payload.action.kind === "svids-issued").length;
}

function withSecondSignature(bytes: Uint8Array): Uint8Array {
  const envelope = JSON.parse(Buffer.from(bytes).toString("utf8")) as { signatures: object[] };
  const [first] = envelope.signatures;
  const second = { ...first, keyid: "0".repeat(64) };
  return Buffer.from(JSON.stringify({ ...envelope, signatures: [first, second] }));
}

/** A request for everything at once: an admin's name, the issuer's, to be an authority. */
async function greedyCsr(pair: KeyPair): Promise<string> {
  const names = {
    uris: ["spiffe://example.org/admin", "spiffe://example.org/other"],
    dnsNames: ["issuer"],
  };
  const isCa = sequence(
    objectIdentifier(oid.basicConstraints),
    octetString(sequence(element(tag.boolean, Uint8Array.of(0xff)))),
  );
  const asked = sequence(subjectAltName(names, true), isCa);
  const extensionRequest = sequence(
    objectIdentifier("1.2.840.113549.1.9.14"),
    element(tag.set, asked),
  );
  const information = sequence(
    unsignedInteger(Uint8Array.of(0)),
    commonName("admin"),
    pair.spki,
    element(contextTag(0), extensionRequest),
  );
  const signer = keyObjectSigner(pair.privateKey);
  const signature = await signer.sign(information);
  return Buffer.from(
    sequence(information, algorithmIdentifier(signer.algorithm), bitString(signature)),
  ).toString("base64");
}
