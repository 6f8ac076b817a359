import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import type { Crl } from "../../core/x509/crl-reader.ts";
import { createCrl } from "../../core/x509/crl-writer.ts";
import type { Signer } from "../../core/x509/signer.ts";
import { reasonOf } from "../../kit/errors.ts";
import { IssuerError } from "../error.ts";
import type { AuthorityKeys } from "../ports.ts";
import type { TrustedAuthority } from "../state/change.ts";
import { type RevokedList, revokedIn } from "./revoked-list.ts";

/**
 * A CRL says of itself that it was made this long ago. Before its thisUpdate verifiers refuse everybody, so a clock that runs behind must not
 * make an outage of a revocation.
 */
const crlBackdateMs = 600_000;

/** A CRL, and what is to be known of it without reading it. */
export interface PublishedCrl {
  readonly authority: string;
  readonly der: Uint8Array;
  /** Subject key id of its authority, lower-case hex. */
  readonly authorityKeyId: string;
  readonly number: bigint;
  /** Milliseconds since the epoch. When it was made is later by the backdating. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly revoked: number;
}

/** An authority whose CRL could not be made as it should be. */
export interface CrlGap {
  readonly authority: string;
  readonly reason: string;
}

/** What was made for the authorities of a bundle. */
export interface CrlSet {
  /** One for each, or none at all. */
  readonly crls: readonly PublishedCrl[];
  /** The last CRL stands in for a new one: its key does not sign. */
  readonly stale: readonly CrlGap[];
  /** There is no CRL of these, old or new. Verifiers would refuse everybody below them, so none is published. */
  readonly uncovered: readonly CrlGap[];
}

/** For what CRLs are wanted. */
export interface CrlsWanted {
  readonly authorities: readonly TrustedAuthority[];
  readonly list: RevokedList;
  readonly number: bigint;
  readonly now: number;
  /** Those that are published now. */
  readonly last: readonly PublishedCrl[];
}

export interface CrlsOptions {
  readonly keys: AuthorityKeys;
  /** From when one is made until its nextUpdate. */
  readonly lifeMs: number;
}

type Made =
  | { readonly kind: "fresh"; readonly crl: PublishedCrl }
  | { readonly kind: "stale"; readonly crl: PublishedCrl; readonly gap: CrlGap }
  | { readonly kind: "uncovered"; readonly gap: CrlGap };

/** Makes the CRLs of all trusted authorities, with the keys of the authorities themselves. */
export class Crls {
  readonly #options: CrlsOptions;
  readonly #signers = new Map<string, Signer>();

  constructor(options: CrlsOptions) {
    this.#options = options;
  }

  /** Never rejects: what could not be made is told. */
  async make(wanted: CrlsWanted): Promise<CrlSet> {
    const made = await Promise.all(wanted.authorities.map((one) => this.#makeOne(one, wanted)));
    const uncovered = made.flatMap((one) => (one.kind === "uncovered" ? [one.gap] : []));
    const stale = made.flatMap((one) => (one.kind === "stale" ? [one.gap] : []));
    if (uncovered.length > 0) return { crls: [], stale, uncovered };
    return {
      crls: made.flatMap((one) => (one.kind === "uncovered" ? [] : [one.crl])),
      stale,
      uncovered,
    };
  }

  async #makeOne(of: TrustedAuthority, wanted: CrlsWanted): Promise<Made> {
    const { authority } = of;
    const certificate = parseCertificate(Buffer.from(of.certificate, "base64"));
    if (of.anchors.some((anchor) => anchor !== of.certificate)) {
      const reason =
        "its bundle holds the root of an upstream authority, whose own CRL is not this issuer's to make";
      return { kind: "uncovered", gap: { authority, reason } };
    }
    try {
      return { kind: "fresh", crl: await this.#sign(authority, certificate, wanted) };
    } catch (thrown) {
      this.#signers.delete(authority);
      const gap = { authority, reason: reasonOf(thrown) };
      const crl = wanted.last.find((one) => one.authority === authority);
      return crl === undefined ? { kind: "uncovered", gap } : { kind: "stale", crl, gap };
    }
  }

  async #sign(
    authority: string,
    certificate: Certificate,
    { list, number, now }: CrlsWanted,
  ): Promise<PublishedCrl> {
    const signer = this.#signers.get(authority) ?? (await this.#options.keys.open(authority));
    if (signer === undefined)
      throw new IssuerError("AUTHORITY_MISSING", "its key is gone from the key store");
    this.#signers.set(authority, signer);
    const revoked = revokedIn({ [authority]: list[authority] ?? [] });
    const [thisUpdate, nextUpdate] = [now - crlBackdateMs, now + this.#options.lifeMs];
    const der = await createCrl(
      {
        authority: certificate,
        number,
        thisUpdate,
        nextUpdate,
        // No entry is younger than the list that it stands in.
        revoked: revoked.map((one) => ({ ...one, at: one.at - crlBackdateMs })),
      },
      signer,
    );
    const authorityKeyId = certificate.subjectKeyId ?? "";
    const facts = { number, thisUpdate, nextUpdate, revoked: revoked.length };
    return { authority, der, authorityKeyId, ...facts };
  }
}

/** When a CRL was made. */
export function madeAt(crl: Pick<PublishedCrl, "thisUpdate">): number {
  return crl.thisUpdate + crlBackdateMs;
}

/** A CRL of this authority that was read back. */
export function publishedOf(crl: Crl, authority: string): PublishedCrl {
  const { der, authorityKeyId, number, thisUpdate, nextUpdate, revoked } = crl;
  const facts = { number, thisUpdate, nextUpdate, revoked: revoked.length };
  return { authority, der, authorityKeyId, ...facts };
}
