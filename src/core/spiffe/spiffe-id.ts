import { SpiffeIdError } from "./errors.ts";

declare const trustDomainBrand: unique symbol;
declare const spiffeIdBrand: unique symbol;

/** A trust domain's name without scheme, such as `example.org`. Made by {@link parseTrustDomain} only. */
export type TrustDomain = string & { readonly [trustDomainBrand]: true };

/** A SPIFFE ID in its only spelling, such as `spiffe://example.org/web`. Made by {@link parseSpiffeId} only. */
export type SpiffeId = string & { readonly [spiffeIdBrand]: true };

/** SPIFFE-ID 2.3: every implementation takes this many bytes; longer ones are never made, so they are refused (SID-10, SID-11). */
const longestId = 2048;

/** SPIFFE-ID 2.3: the longest trust domain name in bytes. */
const longestTrustDomain = 255;

const scheme = "spiffe://";
const slash = 0x2f;
const dot = 0x2e;

/** Paths under it name Herald's own parts (issuers, nodes, the broker); no entry may claim one (protocol.md, "Keys"). */
const reservedPath = "/herald";

/**
 * Reads a trust domain name, character by character: dotted quads and DNS look-alikes get no special treatment (SID-05).
 * @throws {SpiffeIdError} ID_TRUST_DOMAIN_MISSING, ID_TRUST_DOMAIN_TOO_LONG, ID_TRUST_DOMAIN_CHARACTER
 */
export function parseTrustDomain(text: string): TrustDomain {
  checkTrustDomain(text);
  return text as TrustDomain;
}

/**
 * Reads a SPIFFE ID; what it accepts has one spelling only. A byte scanner, because WHATWG `URL` rewrites `..`, `%2e`,
 * tabs, backslashes, ports and case before one can look (SID-14).
 * @throws {SpiffeIdError} any ID_ code but those of selectors
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text === "") throw new SpiffeIdError("ID_EMPTY", "SPIFFE ID: is empty; write spiffe://…");
  if (text.length > longestId) {
    throw new SpiffeIdError(
      "ID_TOO_LONG",
      `SPIFFE ID: has more than ${longestId} bytes; shorten its path`,
    );
  }
  if (!text.startsWith(scheme)) {
    throw new SpiffeIdError(
      "ID_SCHEME",
      'SPIFFE ID: does not start with "spiffe://" in lower case; write it so',
    );
  }
  const pathAt = pathStart(text);
  checkTrustDomain(text.slice(scheme.length, pathAt));
  checkPath(text, pathAt);
  return text as SpiffeId;
}

/**
 * The ID of `path` in `trustDomain`; the path is "" or starts with a slash.
 * @throws {SpiffeIdError} ID_PATH_NO_LEADING_SLASH, else as {@link parseSpiffeId}
 */
export function spiffeIdFrom(trustDomain: TrustDomain, path: string): SpiffeId {
  // Without this check a path like ".evil" would lengthen the trust domain instead.
  if (path !== "" && path.charCodeAt(0) !== slash) {
    throw new SpiffeIdError("ID_PATH_NO_LEADING_SLASH", 'path: does not start with "/"; add it');
  }
  return parseSpiffeId(`${scheme}${trustDomain}${path}`);
}

/** The trust domain that an ID belongs to. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  return id.slice(scheme.length, pathStart(id)) as TrustDomain;
}

/** The path with its leading slash, or "" for a trust domain's own ID. */
export function pathOf(id: SpiffeId): string {
  return id.slice(pathStart(id));
}

/** The ID of the trust domain itself: its name with the scheme and no path. */
export function trustDomainId(trustDomain: TrustDomain): SpiffeId {
  return `${scheme}${trustDomain}` as SpiffeId;
}

/** Whether an ID's path is `/herald` or below `/herald/`: kept for Herald's own parts at every layer. */
export function isReserved(id: SpiffeId): boolean {
  const path = pathOf(id);
  return path === reservedPath || path.startsWith(`${reservedPath}/`);
}

/** Where the path starts, or the end of the text when there is none. */
function pathStart(id: string): number {
  const at = id.indexOf("/", scheme.length);
  return at === -1 ? id.length : at;
}

function checkTrustDomain(name: string): void {
  if (name === "") {
    throw new SpiffeIdError(
      "ID_TRUST_DOMAIN_MISSING",
      "trust domain: is missing; name one, such as example.org",
    );
  }
  if (name.length > longestTrustDomain) {
    throw new SpiffeIdError(
      "ID_TRUST_DOMAIN_TOO_LONG",
      `trust domain: has more than ${longestTrustDomain} bytes; shorten it`,
    );
  }
  for (let at = 0; at < name.length; at += 1) {
    if (!isTrustDomainByte(name.charCodeAt(at))) {
      throw new SpiffeIdError(
        "ID_TRUST_DOMAIN_CHARACTER",
        `trust domain: character ${at + 1} is not one of a-z 0-9 . - _; no port, user, upper case or escape is allowed`,
      );
    }
  }
}

/** Checks every segment of the path that starts at `from`; a missing path is fine (SID-06 to SID-09). */
function checkPath(text: string, from: number): void {
  let segmentFrom = from + 1;
  for (let at = segmentFrom; at <= text.length && from < text.length; at += 1) {
    const code = at === text.length ? slash : text.charCodeAt(at);
    if (code === slash) {
      checkSegment(text, segmentFrom, at);
      segmentFrom = at + 1;
    } else if (!isPathByte(code)) {
      throw new SpiffeIdError(
        "ID_PATH_CHARACTER",
        `path: character ${at - from + 1} is not one of A-Z a-z 0-9 . - _ /; queries, fragments and escapes are not allowed`,
      );
    }
  }
}

function checkSegment(text: string, from: number, to: number): void {
  const length = to - from;
  if (length === 0 && to === text.length) {
    throw new SpiffeIdError("ID_PATH_TRAILING_SLASH", 'path: ends with "/"; remove it');
  }
  if (length === 0) {
    throw new SpiffeIdError("ID_PATH_EMPTY_SEGMENT", 'path: has an empty segment "//"; remove it');
  }
  if (length <= 2 && text.charCodeAt(from) === dot && text.charCodeAt(to - 1) === dot) {
    throw new SpiffeIdError(
      "ID_PATH_DOT_SEGMENT",
      'path: has a segment "." or ".."; write the path out',
    );
  }
}

function isTrustDomainByte(code: number): boolean {
  return isLower(code) || isDigit(code) || isMark(code);
}

function isPathByte(code: number): boolean {
  return isLower(code) || isUpper(code) || isDigit(code) || isMark(code);
}

function isLower(code: number): boolean {
  return code >= 0x61 && code <= 0x7a;
}

function isUpper(code: number): boolean {
  return code >= 0x41 && code <= 0x5a;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** `-`, `.` and `_`. */
function isMark(code: number): boolean {
  return code === 0x2d || code === dot || code === 0x5f;
}
