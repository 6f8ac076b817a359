import { sign } from "node:crypto";
import { printCompactJson } from "../../../../src/core/envelope/compact-json.ts";
import { sealEnvelope } from "../../../../src/core/envelope/envelope.ts";
import { type Kind, kinds, payloadTypeOf } from "../../../../src/core/envelope/kinds.ts";
import { preAuthEncoding } from "../../../../src/core/envelope/pae.ts";
import { controlKeyPair, rootKey, signerFor, signers } from "./keys.ts";
import { samples } from "./samples.ts";
import { type Vector, vectorOf } from "./vector.ts";

/** Envelopes, and payloads under good signatures, that are not written as they must be. */
export async function hostilePayloads(): Promise<readonly Vector[]> {
  const { bytes } = await sealEnvelope("head", samples.head, signers.control);
  return [...payloadCases(), ...envelopeCases(bytes)];
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

function payloadCases(): readonly Vector[] {
  const text = printCompactJson(samples.revocations).toString("utf8");
  const head = printCompactJson(samples.head).toString("utf8");
  const raw = (title: string, body: string | Uint8Array, expect: string): Vector =>
    vectorOf("revocations", [title, signRaw("revocations", Buffer.from(body)), expect]);
  const withSeq = (seq: string): string => text.replace('"seq":"4100"', `"seq":${seq}`);
  const brokenUtf8 = Buffer.concat([
    Buffer.from(text.replace(/"crls":.*$/, '"crls":["'), "utf8"),
    Buffer.from("f09f92", "hex"),
    Buffer.from('"]}', "utf8"),
  ]);
  const entryText = printCompactJson(samples.entry).toString("utf8");
  const labels = entryText.replace('"labels":{"zone":"eu-1"}', '"labels":{"__proto__":"eu-1"}');
  return [
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
    vectorOf("entry", [
      "a label __proto__, without which the entry would select all nodes",
      signRaw("entry", Buffer.from(labels)),
      "PAYLOAD_NOT_COMPACT",
    ]),
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
    vectorOf("head", [
      "a head whose objects have a key that is none",
      signRaw("head", Buffer.from(head.replace("bundle.", "bundle/"))),
      "PAYLOAD_SHAPE",
    ]),
  ];
}

function envelopeCases(good: Buffer): readonly Vector[] {
  const text = good.toString("utf8");
  const bent = (title: string, changed: string, expect: string): Vector => {
    if (changed === text) throw new RangeError(`${title}: changed nothing`);
    return vectorOf("head", [`an envelope with ${title}`, Buffer.from(changed), expect]);
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
    bent(
      "base64 without its padding",
      text.replace(/"sig":"([^"=]*)=+"/, '"sig":"$1"'),
      "ENVELOPE_MALFORMED",
    ),
  ];
}
