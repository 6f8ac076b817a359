import type { X509Svid } from "../core/svid/workload-view.ts";
import { type Certificate, parseCertificate } from "../core/x509/certificate.ts";
import { IdentityError } from "./error.ts";
import type { CachedSvid } from "./ports.ts";
import type { HeldSvid } from "./renewal.ts";
import type { SvidUse } from "./svids-in-use.ts";

/** An SVID that is held: what the planner knows of it, and what callers get. */
export interface Held extends HeldSvid {
  readonly svid: X509Svid;
}

/** @throws X509Error, IdentityError BAD_REPLY when the chain does not start with a certificate */
export function heldOf(
  cached: CachedSvid,
  options: { readonly hint: string } & Pick<HeldSvid, "spread" | "askedUnder" | "receivedAt">,
): Held {
  const { notBefore, notAfter, authorityKeyId } = leafOf(cached.chain);
  return {
    entry: cached.entry,
    revision: cached.revision,
    authority: authorityKeyId ?? "",
    spread: options.spread,
    askedUnder: options.askedUnder,
    receivedAt: options.receivedAt,
    notBefore,
    notAfter,
    svid: servable(cached, options.hint),
  };
}

/** The SVID as callers get it: serial and end are its leaf's. @throws as {@link heldOf} */
export function servable(cached: CachedSvid, hint: string): X509Svid {
  const { spiffeId: id, chain, privateKey } = cached;
  const { serial, notAfter: expiresAt } = leafOf(chain);
  return { id, chain, privateKey, serial, expiresAt, hint };
}

/** When the next SVID, or entry, ends; infinity for never. */
export function nextEnd(
  held: Iterable<Held>,
  entries: readonly { readonly expiresAt: number }[],
  now: number,
): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { notAfter } of held) if (notAfter > now) next = Math.min(next, notAfter);
  for (const { expiresAt } of entries) if (expiresAt > now) next = Math.min(next, expiresAt);
  return next;
}

/** The authorities below the bundle's that the chains name, DER, each once. */
export function intermediatesOf(held: Iterable<Held>): readonly Uint8Array[] {
  const all = [...held].flatMap(({ svid }) => svid.chain.slice(1));
  return [...new Map(all.map((der) => [Buffer.from(der).toString("hex"), der])).values()];
}

/** How many live, and when the first of all ends or ended. */
export function countOf(
  held: Iterable<Held>,
  now: number,
): { readonly svids: number; readonly nextExpiry: number | undefined } {
  const ends = [...held].map(({ notAfter }) => notAfter);
  return {
    svids: ends.filter((end) => end > now).length,
    nextExpiry: ends.length === 0 ? undefined : Math.min(...ends),
  };
}

/** As acknowledgements name it. */
export function useOf({ svid, authority, notAfter }: Held): SvidUse {
  return { serial: svid.serial, authority, until: notAfter };
}

function leafOf(chain: readonly Uint8Array[]): Certificate {
  const [leaf] = chain;
  if (leaf === undefined) throw new IdentityError("BAD_REPLY", "the certificate chain is empty");
  return parseCertificate(leaf);
}
