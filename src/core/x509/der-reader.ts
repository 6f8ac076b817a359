import { tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";

/** One element as found. `content` and `encoded` are windows onto the input, not copies. */
export class DerElement {
  readonly tag: number;
  /** With its tag and length. */
  readonly encoded: Uint8Array;
  readonly #contentFrom: number;

  constructor(encoded: Uint8Array, contentFrom: number) {
    this.tag = encoded[0] ?? 0;
    this.encoded = encoded;
    this.#contentFrom = contentFrom;
  }

  get content(): Uint8Array {
    return this.encoded.subarray(this.#contentFrom);
  }
}

/** Larger inputs are refused before reading: nothing that Herald takes comes near (a certificate has 0.5 to 4 KiB). */
const longestInput = 1 << 20;

/**
 * Reads DER from front to back, and only DER: definite, minimal lengths, single-byte tags (X.690 10.1). Made for hostile
 * input: it looks at each byte once, goes no deeper than its caller does, and throws nothing but X509Error X509_DER.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  /** Where the content of the element read last begins. */
  #contentFrom = 0;

  /** Reads from `from` up to `end`, which is the whole input by default. */
  constructor(bytes: Uint8Array, from = 0, end: number = bytes.length) {
    if (bytes.length > longestInput) throw broken("is larger than 1 MiB");
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
  }

  /** Whether everything was read. */
  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  /** The next tag without reading it; undefined at the end. */
  peek(): number | undefined {
    return this.#at < this.#end ? this.#bytes[this.#at] : undefined;
  }

  /** The next element, whatever its tag. */
  any(): DerElement {
    const from = this.#at;
    this.#pass();
    return new DerElement(this.#bytes.subarray(from, this.#at), this.#contentFrom - from);
  }

  /** Goes behind the next element and notes where its content begins. */
  #pass(): void {
    const tagByte = this.#byte();
    // X.690 8.1.2.4: tag numbers above 30 take more bytes; X.509 has none. 0 ends indefinite lengths, which are not DER.
    if ((tagByte & 0x1f) === 0x1f || tagByte === 0)
      throw broken("has a tag that X.509 does not use");
    const length = this.#length();
    if (length > this.#end - this.#at) throw broken("ends inside an element");
    this.#contentFrom = this.#at;
    this.#at += length;
  }

  /** The next element, which must have this tag. */
  element(expected: number): DerElement {
    this.#expect(expected);
    return this.any();
  }

  /** The content of the next element, which must have this tag. */
  content(expected: number): Uint8Array {
    this.#expect(expected);
    this.#pass();
    return this.#bytes.subarray(this.#contentFrom, this.#at);
  }

  /** The next element if it has this tag. */
  optional(expected: number): DerElement | undefined {
    return this.peek() === expected ? this.any() : undefined;
  }

  /** Whether the next bytes are these, one or more elements; only then it goes on behind them. */
  skips(encoded: Uint8Array): boolean {
    if (encoded.length > this.#end - this.#at) return false;
    for (let at = 0; at < encoded.length; at += 1)
      if (this.#bytes[this.#at + at] !== encoded[at]) return false;
    this.#at += encoded.length;
    return true;
  }

  /** A reader of the content of the next element, which must have this tag. */
  enter(expected: number): DerReader {
    this.#expect(expected);
    this.#pass();
    return new DerReader(this.#bytes, this.#contentFrom, this.#at);
  }

  /** A reader of the content of the next SEQUENCE. */
  sequence(): DerReader {
    return this.enter(tag.sequence);
  }

  /** Refuses anything left over: what nobody reads must not be signed along. */
  end(): void {
    if (!this.isAtEnd) throw broken("has bytes after its last element");
  }

  #expect(expected: number): void {
    if (this.peek() !== expected)
      throw broken(`lacks an element with tag 0x${expected.toString(16)}`);
  }

  #byte(): number {
    const byte = this.peek();
    if (byte === undefined) throw broken("ends too early");
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    // 0x80 alone is the indefinite form; four bytes are more than the input cap can need.
    if (count === 0 || count > 4) throw broken("has a length that is indefinite or far too long");
    let length = 0;
    for (let at = 0; at < count; at += 1) length = length * 256 + this.#byte();
    // X.690 10.1: the shortest form only; a second spelling would make a second document of the same meaning.
    if (length < 0x80 || length < 256 ** (count - 1))
      throw broken("has a length that is not minimal");
    return length;
  }
}

/** A reader of the one SEQUENCE that `bytes` is, with nothing before or after it. */
export function readSequence(bytes: Uint8Array): DerReader {
  const outer = new DerReader(bytes);
  const inner = outer.sequence();
  outer.end();
  return inner;
}

/** The bytes of a non-negative INTEGER without its sign byte; refuses negative and padded ones (X.690 8.3.2). */
export function readUnsigned(content: Uint8Array): Uint8Array {
  const [first, second] = content;
  if (first === undefined) throw broken("has an empty INTEGER");
  if ((first & 0x80) !== 0) throw broken("has a negative INTEGER where none may be");
  if (first === 0 && second !== undefined) {
    if ((second & 0x80) === 0) throw broken("has a padded INTEGER");
    return content.subarray(1);
  }
  return content;
}

/** A small non-negative INTEGER as a number. */
export function readSmallInteger(content: Uint8Array): number {
  const bytes = readUnsigned(content);
  if (bytes.length > 4) throw broken("has an INTEGER that is far too large");
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

/** BOOLEAN; DER knows 00 and FF only (X.690 11.1). */
export function readBoolean(content: Uint8Array): boolean {
  const [byte] = content;
  if (content.length !== 1 || (byte !== 0 && byte !== 0xff))
    throw broken("has a BOOLEAN that is neither 00 nor FF");
  return byte === 0xff;
}

/** The bytes of a BIT STRING that must consist of whole bytes: keys and signatures. */
export function readBitString(content: Uint8Array): Uint8Array {
  if (content[0] !== 0) throw broken("has a BIT STRING with unused bits where whole bytes belong");
  return content.subarray(1);
}

/** The set bits of a named bit list; at most 16, which is one more byte than KeyUsage has. */
export function readNamedBits(content: Uint8Array): ReadonlySet<number> {
  const unused = content[0];
  const bytes = content.subarray(1);
  const last = bytes.at(-1);
  if (unused === undefined || unused > 7 || bytes.length > 2)
    throw broken("has a malformed bit list");
  if (last === undefined) {
    if (unused !== 0) throw broken("has a malformed bit list");
    return new Set();
  }
  // X.690 11.2.2: no trailing zero bits, so the last used bit is set and the unused ones are not.
  if ((last & ((1 << unused) - 1)) !== 0 || ((last >> unused) & 1) === 0) {
    throw broken("has a bit list with trailing zero bits");
  }
  const bits = new Set<number>();
  for (const [index, byte] of bytes.entries()) {
    for (let bit = 0; bit < 8; bit += 1)
      if ((byte & (0x80 >> bit)) !== 0) bits.add(index * 8 + bit);
  }
  return bits;
}

/** An OBJECT IDENTIFIER in dotted form; arcs above 2^53 are refused, for no number here could hold them. */
export function readObjectIdentifier(content: Uint8Array): string {
  let dotted = "";
  let value = 0;
  let starts = true;
  for (const byte of content) {
    // X.690 8.19.2: no leading zero digits.
    if (starts && byte === 0x80) throw broken("has a padded OBJECT IDENTIFIER");
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER)
      throw broken("has an OBJECT IDENTIFIER with too large a number");
    starts = (byte & 0x80) === 0;
    if (starts) {
      dotted += dotted === "" ? firstArcs(value) : `.${value}`;
      value = 0;
    }
  }
  if (dotted === "" || !starts) throw broken("has a cut OBJECT IDENTIFIER");
  return dotted;
}

/** X.690 8.19.4: one number holds the first two arcs, the first of which is 0, 1 or 2. */
function firstArcs(value: number): string {
  const root = Math.min(2, Math.floor(value / 40));
  return `${root}.${value - root * 40}`;
}

/** IA5String content: ASCII, without control characters, which have no place in a name and hide in a log (XSVID-23). */
export function readIa5(content: Uint8Array): string {
  for (const byte of content) {
    if (byte < 0x20 || byte > 0x7e)
      throw broken("has a name with a character outside of printable ASCII");
  }
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("latin1");
}

function broken(what: string): X509Error {
  return new X509Error("X509_DER", `DER: ${what}; ask its maker for strict DER`);
}
