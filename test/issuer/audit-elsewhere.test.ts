import { createHash, createPublicKey, verify } from "node:crypto";
import { expect, test } from "vitest";
import { csrOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { openOffice } from "./support/office.ts";

/** An envelope as docs/audit.md describes it. */
interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly {
    readonly sig: string;
    readonly publicKey?: string;
    readonly certificate?: string;
  }[];
}

// From here on nothing of src/ is used: this is what another implementation does.

const bytesOf = (base64 = ""): Buffer => Buffer.from(base64, "base64");
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

function encoded({ payloadType, payload }: Envelope): Buffer {
  const body = bytesOf(payload);
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${body.length} `;
  return Buffer.concat([Buffer.from(head, "ascii"), body]);
}

function holds(envelope: Envelope, spki: Buffer): boolean {
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });
  return verify(null, encoded(envelope), key, bytesOf(envelope.signatures[0]?.sig));
}

function payloadOf<T>(envelope: Envelope): T {
  return JSON.parse(bytesOf(envelope.payload).toString("utf8")) as T;
}

interface Told {
  readonly n: string;
  readonly prev: string;
  readonly at: number;
  readonly issuer: string;
}
interface Certificate {
  readonly issuer: string;
  readonly publicKey: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Whether a run of lines is one issuer's whole chain, by the pin alone. */
function isChain(lines: readonly string[], pin: string): boolean {
  let prev = "0".repeat(64);
  return lines.every((line, at) => {
    const record = JSON.parse(line) as Envelope;
    const text = bytesOf(record.signatures[0]?.certificate).toString("utf8");
    const certificate = JSON.parse(text) as Envelope;
    const root = bytesOf(certificate.signatures[0]?.publicKey);
    const control = payloadOf<Certificate>(certificate);
    const told = payloadOf<Told>(record);
    const follows = told.n === String(at + 1) && told.prev === prev;
    prev = sha256(encoded(record));
    return (
      record.payloadType === "application/vnd.herald.audit-record.v1+json" &&
      certificate.payloadType === "application/vnd.herald.control.v1+json" &&
      sha256(root) === pin &&
      holds(certificate, root) &&
      holds(record, bytesOf(control.publicKey)) &&
      control.issuer === told.issuer &&
      control.notBefore <= told.at &&
      told.at <= control.notAfter &&
      follows
    );
  });
}

test("INV-9: a chain is verified by what docs/audit.md says, with nothing of Herald but the pin", async () => {
  const office = await openOffice();
  const node = await office.node("east");
  await office.entry("/web");
  await node.send(
    "renew-request",
    await node.request("renew-request", { csr: await csrOf(keyPair()) }),
  );
  const lines = office.host.journal.disk
    .filter(({ kind }) => kind === "audit")
    .map(({ bytes }) => Buffer.from(bytes).toString("utf8"));
  expect(lines.length).toBeGreaterThan(3);
  expect(isChain(lines, office.domain.pin)).toBe(true);
  expect(isChain(lines.toSpliced(2, 1), office.domain.pin)).toBe(false);
  expect(isChain(lines, "0".repeat(64))).toBe(false);
});
