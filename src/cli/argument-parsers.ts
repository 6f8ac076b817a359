import { InvalidArgumentError } from "commander";
import { isTemplate } from "../core/policy/template.ts";
import { parseSelector } from "../core/spiffe/selector.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  type TrustDomain,
} from "../core/spiffe/spiffe-id.ts";
import { formatHostPort, type HostPort, parseHostPort } from "../daemon/config.ts";
import { parseDuration } from "../daemon/config-fields.ts";
import type { SecretSource } from "../kit/adapters/secret-source.ts";
import { HeraldError } from "../kit/errors.ts";

/** Repeatable `k=v`. */
export function labels(
  text: string,
  before: ReadonlyMap<string, string> | undefined,
): ReadonlyMap<string, string> {
  const at = text.indexOf("=");
  const name = text.slice(0, at);
  if (at < 1) throw new InvalidArgumentError("Write name=value.");
  if (before?.has(name) === true) throw new InvalidArgumentError(`"${name}" was given already.`);
  return new Map([...(before ?? []), [name, text.slice(at + 1)]]);
}

/** Repeatable selector. */
export function selectors(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), checked(parseSelector, text)];
}

/** Repeatable SPIFFE ID. */
export function spiffeIds(
  text: string,
  before: readonly SpiffeId[] | undefined,
): readonly SpiffeId[] {
  return [...(before ?? []), spiffeId(text)];
}

/** Repeatable text. */
export function texts(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

export function spiffeId(text: string): SpiffeId {
  return checked(parseSpiffeId, text);
}

/** A SPIFFE ID, or a template of one, whose places the issuer judges. */
export function givenId(text: string): string {
  return isTemplate(text) ? text : spiffeId(text);
}

/** Repeatable trust domain. */
export function trustDomains(
  text: string,
  before: readonly TrustDomain[] | undefined,
): readonly TrustDomain[] {
  return [...(before ?? []), trustDomain(text)];
}

/** ISO 8601 with a zone, or a duration from now, as milliseconds since the epoch. */
export function momentToCome(text: string, now: number): number {
  const span = parseDuration(text);
  if (span !== undefined) return now + span;
  const at = /^\d{4}-\d\d-\d\dT.+(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new InvalidArgumentError("Write 2027-01-31T12:00:00Z, or 90d.");
  return at;
}

export function trustDomain(text: string): TrustDomain {
  return checked(parseTrustDomain, text);
}

export function hostPort(text: string): HostPort {
  const parsed = parseHostPort(text);
  if (parsed === undefined) throw new InvalidArgumentError("Write HOST:PORT.");
  return parsed;
}

/** HOST:PORT that stays text. */
export function hostPortText(text: string): string {
  return formatHostPort(hostPort(text));
}

/** `3600`, `90s` or `1h`, as whole seconds. */
export function seconds(text: string): number {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms === undefined || ms < 1000 || ms % 1000 !== 0) {
    throw new InvalidArgumentError("Write whole seconds, or a duration such as 90s, 10m or 24h.");
  }
  return ms / 1000;
}

/** A moment in ISO 8601 with its offset, as milliseconds since the epoch. */
export function moment(text: string): number {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(ms))
    throw new InvalidArgumentError("Write a time such as 2026-11-23T12:00:00Z.");
  return ms;
}

/** A whole number of at least 0. */
export function count(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("Write a whole number.");
  return Number(text);
}

/** A whole number that fits int32. */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^-?\d{1,10}$/.test(text) || value !== Math.trunc(value) || Math.abs(value) >= 2 ** 31) {
    throw new InvalidArgumentError("Write a whole number.");
  }
  return value;
}

export function port(text: string): number {
  const value = count(text);
  if (value > 65_535) throw new InvalidArgumentError("Write a port, 1 to 65535.");
  return value;
}

/** Commander turns InvalidArgumentError, and only that, into its own message with the option's name. */
function checked<T>(parse: (text: string) => T, text: string): T {
  try {
    return parse(text);
  } catch (thrown) {
    if (thrown instanceof HeraldError) throw new InvalidArgumentError(thrown.message);
    throw thrown;
  }
}

/** A Unix socket, as a path or unix:///path; gives the path. */
export function socketPath(text: string): string {
  const path = text.replace(/^unix:(\/\/)?(?=\/)/, "");
  if (!path.startsWith("/")) throw new InvalidArgumentError("Write unix:///path.");
  return path;
}

/** SDS name of an SVID: `default` or a SPIFFE ID. */
export function svidName(text: string): string {
  return text === "default" ? text : spiffeId(text);
}

/** SDS name of a validation context. */
export function contextName(text: string): string {
  if (text === "ROOTCA" || text === "ALL" || /^peers:\S+$/.test(text)) return text;
  if (text.startsWith("spiffe://") && pathOf(spiffeId(text)) === "") return text;
  throw new InvalidArgumentError("Write ROOTCA, ALL, spiffe://TRUST-DOMAIN or peers:NAME.");
}

/** `file:PATH`, `env:NAME` or `credential:NAME`. */
export function secretSource(text: string): SecretSource {
  const [, from, name] = /^(file|env|credential):(.+)$/s.exec(text) ?? [];
  if (from === undefined || name === undefined)
    throw new InvalidArgumentError("Write file:PATH, env:NAME or credential:NAME.");
  return from === "file" ? { from, path: name } : { from: from as "env" | "credential", name };
}

/** HOST:PORT or `none`. */
export function adminAddress(text: string): HostPort | "none" {
  return text === "none" ? text : hostPort(text);
}
