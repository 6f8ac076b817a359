import { EnvelopeError } from "./error.ts";

/**
 * Parses JSON that is written in the one form ECMAScript prints. Anything else is refused: a duplicate member, white space, `1.0`, an
 * escaped letter; two readers can then never see two things in the same signed bytes (threat model 8.2).
 *
 * @throws EnvelopeError PAYLOAD_NOT_COMPACT
 */
export function parseCompactJson(bytes: Uint8Array): unknown {
  const text = decode(bytes);
  const value = parse(text);
  // A member called `__proto__` survives the comparison but is dropped by some readers, this one's record shapes among them.
  const isCompact = JSON.stringify(value) === text;
  if (!isCompact || text.includes('"__proto__":')) {
    throw new EnvelopeError(
      "PAYLOAD_NOT_COMPACT",
      "payload is not in the compact form: no white space, no duplicate members, no __proto__, UTF-8 (docs/protocol.md, Envelope)",
    );
  }
  return value;
}

/** The bytes that {@link parseCompactJson} takes back; 64-bit integers become decimal strings. */
export function printCompactJson(value: unknown): Buffer {
  return Buffer.from(compactText(value), "utf8");
}

/** The same as text. */
export function compactText(value: unknown): string {
  return JSON.stringify(withoutBigInts(value));
}

/**
 * Copies only what holds a 64-bit integer. A replacer would do the same, but with one JSON.stringify takes its slow way through everything. A
 * member called `__proto__` stays where it is, to be refused by whoever reads it.
 */
function withoutBigInts(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return itemsWithoutBigInts(value);
  const members = value as Readonly<Record<string, unknown>>;
  let changed: Record<string, unknown> | undefined;
  for (const name of Object.keys(members)) {
    const member = members[name];
    const written = withoutBigInts(member);
    if (written === member || name === "__proto__") continue;
    changed ??= { ...members };
    changed[name] = written;
  }
  return changed ?? value;
}

function itemsWithoutBigInts(items: readonly unknown[]): readonly unknown[] {
  let changed: unknown[] | undefined;
  for (const [at, item] of items.entries()) {
    const written = withoutBigInts(item);
    if (written === item) continue;
    changed ??= [...items];
    changed[at] = written;
  }
  return changed ?? items;
}

/** Fatal: bytes that are no UTF-8 would otherwise decode to U+FFFD, and so to the text of other bytes. A byte order mark stays, and is no JSON. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new EnvelopeError("PAYLOAD_NOT_COMPACT", "payload is not UTF-8", { cause });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EnvelopeError("PAYLOAD_NOT_COMPACT", "payload is not JSON", { cause });
  }
}
