import { sign } from "node:crypto";
import { printCompactJson } from "../../../../src/core/envelope/compact-json.ts";
import { type EnvelopeSigner, sealEnvelope } from "../../../../src/core/envelope/envelope.ts";
import { type Kind, kinds, payloadTypeOf } from "../../../../src/core/envelope/kinds.ts";
import { keyIdOf, preAuthEncoding } from "../../../../src/core/envelope/pae.ts";
import type { ControlCertificate } from "../../../../src/core/envelope/payloads.ts";
import { controlSigner, rootSigner, spkiOf } from "../../../../src/core/envelope/signers.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe/spiffe-id.ts";
import {
  certificate,
  controlKeyPair,
  now,
  otherControlKey,
  otherRootKey,
  rootKey,
  signerFor,
  signers,
} from "./keys.ts";
import { samples } from "./samples.ts";
import type { Vector } from "./vector.ts";

/** Envelopes that must be refused, each for one reason. */
export async function hostileCases(page: string): Promise<readonly Vector[]> {
  return [
    ...(await signerCases(page)),
    ...(await certificateCases(page)),
    ...(await payloadCases(page)),
    ...envelopeCases(page, (await sealEnvelope("head", samples.head, signers.control)).bytes),
  ];
}

const vector = (title: string, kind: Kind, bytes: Uint8Array, expect: string): Vector => {
  const text = Buffer.from(bytes).toString("utf8");
  const asText = Buffer.from(text, "utf8").equals(bytes)
    ? { envelope: text }
    : { envelopeBase64: Buffer.from(bytes).toString("base64") };
  return { title, kind, role: kinds[kind].role, ...asText, expect };
};

async function signerCases(page: string): Promise<readonly Vector[]> {
  const seal = async <K extends Kind>(kind: K, signer: EnvelopeSigner): Promise<Buffer> =>
    (await sealEnvelope(kind, samples[kind], signer)).bytes;
  const bare = { ...signers.control, accompanied: {} };
  const impostor = { ...rootSigner(otherRootKey), keyId: signers.root.keyId };
  return [
    vector(
      `${page}: an epoch by a root that is not the pin`,
      "epoch",
      await seal("epoch", rootSigner(otherRootKey)),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an epoch by another root that claims the pin as its keyid`,
      "epoch",
      await seal("epoch", impostor),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an epoch by another root that shows the pinned public key`,
      "epoch",
      await seal("epoch", { ...impostor, accompanied: signers.root.accompanied }),
      "ENVELOPE_SIGNATURE",
    ),
    vector(
      `${page}: an epoch without the root's public key`,
      "epoch",
      await seal("epoch", { ...signers.root, accompanied: {} }),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an epoch by a control key`,
      "epoch",
      await seal("epoch", signers.control),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: a bundle by the root`,
      "bundle",
      await seal("bundle", signers.root),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: a bundle by a control key without its certificate`,
      "bundle",
      await seal("bundle", bare),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: a bundle by a node's key`,
      "bundle",
      await seal("bundle", signers.node),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: a sign-reply by a node's key that claims EdDSA`,
      "sign-reply",
      await seal("sign-reply", {
        ...signers.node,
        alg: "EdDSA",
        accompanied: signers.control.accompanied,
      }),
      "ENVELOPE_SIGNATURE",
    ),
    vector(
      `${page}: an ack by a control key`,
      "ack",
      await seal("ack", signers.control),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an ack by the node's key that claims EdDSA`,
      "ack",
      await seal("ack", { ...signers.node, alg: "EdDSA" }),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an enrol-request by a node's key`,
      "enrol-request",
      await seal("enrol-request", signers.node),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an enrol-request by another token's key`,
      "enrol-request",
      await seal("enrol-request", { ...rootSigner(otherControlKey), accompanied: {} }),
      "ENVELOPE_SIGNATURE",
    ),
  ];
}

async function certificateCases(page: string): Promise<readonly Vector[]> {
  const withCertificate = async (
    bend: Partial<ControlCertificate>,
    options: Parameters<typeof certificate>[1] = {},
  ): Promise<Buffer> => {
    const signer = controlSigner(controlKeyPair, await certificate(bend, options));
    return (await sealEnvelope("bundle", samples.bundle, signer)).bytes;
  };
  const good = await withCertificate({});
  const foreign = { td: parseTrustDomain("other.example") };
  const epochAsCertificate = await sealEnvelope("epoch", samples.epoch, signers.root);
  const wrongKind = controlSigner(controlKeyPair, epochAsCertificate.bytes);
  const noKey = { publicKey: Buffer.from("no key").toString("base64") };
  return [
    vector(
      `${page}: a certificate on its last millisecond`,
      "bundle",
      await withCertificate({ notAfter: now }),
      "ok",
    ),
    vector(
      `${page}: a certificate on its first millisecond`,
      "bundle",
      await withCertificate({ notBefore: now }),
      "ok",
    ),
    vector(
      `${page}: an expired certificate`,
      "bundle",
      await withCertificate({ notAfter: now - 1 }),
      "ENVELOPE_CERTIFICATE",
    ),
    vector(
      `${page}: a certificate that is not valid yet`,
      "bundle",
      await withCertificate({ notBefore: now + 1 }),
      "ENVELOPE_CERTIFICATE",
    ),
    vector(
      `${page}: a certificate of another trust domain`,
      "bundle",
      await withCertificate(foreign),
      "ENVELOPE_TRUST_DOMAIN",
    ),
    vector(
      `${page}: a certificate by another root`,
      "bundle",
      await withCertificate({}, { root: otherRootKey }),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: a certificate that a control key signed for itself`,
      "bundle",
      await withCertificate({}, { root: controlKeyPair }),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: a certificate for another control key`,
      "bundle",
      await withCertificate({}, { key: otherControlKey }),
      "ENVELOPE_SIGNATURE",
    ),
    vector(
      `${page}: a certificate whose public key is none`,
      "bundle",
      await withCertificate(noKey),
      "ENVELOPE_SIGNER",
    ),
    vector(
      `${page}: an epoch statement in a certificate's place`,
      "bundle",
      (await sealEnvelope("bundle", samples.bundle, wrongKind)).bytes,
      "ENVELOPE_KIND",
    ),
    {
      ...vector(
        `${page}: a control key that the epoch statement revokes`,
        "bundle",
        good,
        "ENVELOPE_CERTIFICATE",
      ),
      revoked: [signers.control.keyId],
    },
    {
      ...vector(`${page}: a control key beside one that is revoked`, "bundle", good, "ok"),
      revoked: [keyIdOf(spkiOf(otherControlKey))],
    },
  ];
}

/** Signs any bytes as a kind: what a broken or hostile issuer might. */
function signRaw(kind: Kind, body: Uint8Array): Buffer {
  const payloadType = payloadTypeOf(kind);
  const signer = signerFor(kind);
  const key = kinds[kind].role === "root" ? rootKey : controlKeyPair;
  const sig = sign(null, preAuthEncoding(payloadType, body), key).toString("base64");
  const signatures = [{ keyid: signer.keyId, alg: signer.alg, sig, ...signer.accompanied }];
  return printCompactJson({
    payloadType,
    payload: Buffer.from(body).toString("base64"),
    signatures,
  });
}

async function payloadCases(page: string): Promise<readonly Vector[]> {
  const text = printCompactJson(samples.revocations).toString("utf8");
  const head = printCompactJson(samples.head).toString("utf8");
  const raw = (title: string, body: string | Uint8Array, expect: string): Vector =>
    vector(`${page}: ${title}`, "revocations", signRaw("revocations", Buffer.from(body)), expect);
  const withSeq = (seq: string): string => text.replace('"seq":"4100"', `"seq":${seq}`);
  const brokenUtf8 = Buffer.concat([
    Buffer.from(text.replace(/"crls":.*$/, '"crls":["'), "utf8"),
    Buffer.from("f09f92", "hex"),
    Buffer.from('"]}', "utf8"),
  ]);
  const entryText = printCompactJson(samples.entry).toString("utf8");
  const labels = entryText.replace('"labels":{"zone":"eu-1"}', '"labels":{"__proto__":"eu-1"}');
  return await Promise.resolve([
    raw("the payload as it should be", text, "ok"),
    raw("a member twice", text.replace("{", `{"td":"example.org",`), "PAYLOAD_NOT_COMPACT"),
    raw(
      "a member twice, with other contents",
      text.replace(/}$/, ',"crls":[]}'),
      "PAYLOAD_NOT_COMPACT",
    ),
    raw("white space in front", ` ${text}`, "PAYLOAD_NOT_COMPACT"),
    raw("white space between", text.replace(":", ": "), "PAYLOAD_NOT_COMPACT"),
    raw("a line feed at the end", `${text}\n`, "PAYLOAD_NOT_COMPACT"),
    raw("a byte order mark", `\ufeff${text}`, "PAYLOAD_NOT_COMPACT"),
    raw("a number written 1.0", text.replace(/"at":\d+/, '"at":1.0'), "PAYLOAD_NOT_COMPACT"),
    raw("a number written 1e3", text.replace(/"at":\d+/, '"at":1e3'), "PAYLOAD_NOT_COMPACT"),
    raw("a number written -0", text.replace(/"at":\d+/, '"at":-0'), "PAYLOAD_NOT_COMPACT"),
    raw(
      "a letter that is escaped for nothing",
      text.replace('"td"', String.raw`"\u0074d"`),
      "PAYLOAD_NOT_COMPACT",
    ),
    raw(
      "bytes that are no UTF-8, as many as the U+FFFD they decode to",
      brokenUtf8,
      "PAYLOAD_NOT_COMPACT",
    ),
    raw("no JSON", "revocations", "PAYLOAD_NOT_COMPACT"),
    raw("no payload", "", "PAYLOAD_NOT_COMPACT"),
    raw(
      "a member __proto__",
      text.replace(/}$/, ',"__proto__":{"crls":[]}}'),
      "PAYLOAD_NOT_COMPACT",
    ),
    vector(
      `${page}: a label __proto__, without which the entry would select all nodes`,
      "entry",
      signRaw("entry", Buffer.from(labels)),
      "PAYLOAD_NOT_COMPACT",
    ),
    raw("a member nobody knows", text.replace(/}$/, ',"more":1}'), "PAYLOAD_SHAPE"),
    raw(
      "a member nobody knows, further in",
      text.replace('"seq":"4100"', '"seq":"4100","more":1'),
      "PAYLOAD_SHAPE",
    ),
    raw("a member constructor", text.replace(/}$/, ',"constructor":{}}'), "PAYLOAD_SHAPE"),
    raw("a member that is missing", text.replace(/,"crls":.*$/, "}"), "PAYLOAD_SHAPE"),
    raw("a time that is no whole number", text.replace(/"at":\d+/, '"at":1.5'), "PAYLOAD_SHAPE"),
    raw("a time before the epoch", text.replace(/"at":\d+/, '"at":-1'), "PAYLOAD_SHAPE"),
    raw("a time above 2^53", text.replace(/"at":\d+/, '"at":9007199254740992'), "PAYLOAD_SHAPE"),
    raw("a 64-bit integer as a number", withSeq("4100"), "PAYLOAD_SHAPE"),
    raw("a 64-bit integer with a leading zero", withSeq('"04100"'), "PAYLOAD_SHAPE"),
    raw("a 64-bit integer in hex", withSeq('"0x1"'), "PAYLOAD_SHAPE"),
    raw("a 64-bit integer with a sign", withSeq('"-1"'), "PAYLOAD_SHAPE"),
    raw("an empty 64-bit integer", withSeq('""'), "PAYLOAD_SHAPE"),
    raw("2^64 - 1", withSeq('"18446744073709551615"'), "ok"),
    raw("2^64", withSeq('"18446744073709551616"'), "PAYLOAD_SHAPE"),
    raw("zero", withSeq('"0"'), "ok"),
    raw("a trust domain in capitals", text.replace("example.org", "Example.org"), "PAYLOAD_SHAPE"),
    raw("a key with a wildcard", text.replace(/"key":"[^"]*"/, '"key":"rev.>"'), "PAYLOAD_SHAPE"),
    raw("base64 without its padding", text.replace("MAMCAQE=", "MAMCAQE"), "PAYLOAD_SHAPE"),
    raw(
      "base64 with bits that mean nothing",
      text.replace("MAMCAQE=", "MAMCAQF="),
      "PAYLOAD_SHAPE",
    ),
    raw("base64 in the URL's alphabet", text.replace("MAMCAQE=", "_-MCAQE="), "PAYLOAD_SHAPE"),
    raw("a list in an object's place", "[]", "PAYLOAD_SHAPE"),
    vector(
      `${page}: a head whose objects have a key that is none`,
      "head",
      signRaw("head", Buffer.from(head.replace("bundle.", "bundle/"))),
      "PAYLOAD_SHAPE",
    ),
  ]);
}

function envelopeCases(page: string, good: Buffer): readonly Vector[] {
  const text = good.toString("utf8");
  const bent = (title: string, changed: string, expect: string): Vector => {
    if (changed === text) throw new RangeError(`${title}: changed nothing`);
    return vector(`${page}: an envelope with ${title}`, "head", Buffer.from(changed), expect);
  };
  return [
    bent("white space", text.replace(",", ", "), "PAYLOAD_NOT_COMPACT"),
    bent("payloadType twice", text.replace("{", `{"payloadType":"x",`), "PAYLOAD_NOT_COMPACT"),
    bent("a member nobody knows", text.replace(/}$/, ',"more":1}'), "ENVELOPE_MALFORMED"),
    bent("a member __proto__", text.replace(/}$/, ',"__proto__":{}}'), "PAYLOAD_NOT_COMPACT"),
    bent(
      "no signature",
      text.replace(/"signatures":.*$/, '"signatures":[]}'),
      "ENVELOPE_MALFORMED",
    ),
    bent("an algorithm nobody knows", text.replace('"EdDSA"', '"none"'), "ENVELOPE_MALFORMED"),
    bent("another kind's algorithm", text.replace('"EdDSA"', '"ES256"'), "ENVELOPE_SIGNER"),
    bent(
      "a reserved payloadType",
      text.replace("vnd.herald.head", "vnd.herald.event"),
      "ENVELOPE_KIND",
    ),
    bent("another version's payloadType", text.replace("head.v1", "head.v2"), "ENVELOPE_KIND"),
    bent(
      "another kind's payloadType",
      text.replace("vnd.herald.head", "vnd.herald.bundle"),
      "ENVELOPE_KIND",
    ),
    bent(
      "another keyid",
      text.replace(/"keyid":"[^"]*"/, `"keyid":"${"0".repeat(64)}"`),
      "ENVELOPE_SIGNATURE",
    ),
    bent(
      "a keyid in capitals",
      text.replace(/"keyid":"([^"]*)"/, (all) => all.toUpperCase().replace("KEYID", "keyid")),
      "ENVELOPE_MALFORMED",
    ),
    bent("base64 without its padding", text.replace(/=*","alg"|=+"/, '"'), "ENVELOPE_MALFORMED"),
  ];
}
