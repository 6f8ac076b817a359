import type { AuthorityState } from "../../core/envelope/authority-payloads.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { type AuthorityPath, authorityPath } from "../../core/svid/authority-path.ts";
import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import type { Clock } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Random } from "../../kit/random.ts";
import { IssuerError } from "../error.ts";
import { newSerial } from "../identifiers.ts";
import type { AuthorityKeys, CertifiedAuthority, UpstreamAuthority } from "../ports.ts";

/** Certificates start this much in the past, for clocks that run behind (XSVID-24). */
export const backdateMs = 10_000;

/** Everything about an authority that its status does not change. */
export type AuthorityCertificates = Pick<
  AuthorityState,
  "authority" | "certificate" | "chain" | "anchors" | "notAfter"
>;

export interface CertificationOptions {
  readonly trustDomain: TrustDomain;
  readonly keys: AuthorityKeys;
  readonly upstream: UpstreamAuthority;
  readonly clock: Clock;
  readonly random: Random;
  /** How long a new authority should live; its upstream may cut it short. */
  readonly lifetimeMs: number;
}

/**
 * Makes an authority's key and has it certified; nothing is trusted or written yet, and a crash here leaves an unused key.
 * @param known the authorities that are trusted already
 * @throws IssuerError UPSTREAM_*, KEY_*
 */
export async function certifyAuthority(
  id: string,
  known: readonly AuthorityState[],
  options: CertificationOptions,
): Promise<AuthorityCertificates> {
  const { keys, upstream, clock, random, trustDomain, lifetimeMs } = options;
  const now = clock.now();
  try {
    const certified = await upstream.certify({
      authority: id,
      key: () => keys.create(id),
      trustDomain,
      serial: newSerial(random),
      now,
      notBefore: now - backdateMs,
      notAfter: now + lifetimeMs,
    });
    const authority = certificatesOf(id, certified, { trustDomain, now });
    refuseKnown(authority, known);
    if (certified.key !== undefined) await keys.adopt(id, certified.key);
    return authority;
  } catch (thrown) {
    // A token is not to fill up with keys that nothing was certified for, however long an upstream is away.
    await keys.delete(id).catch(() => undefined);
    throw thrown;
  }
}

/** The path of an authority that is in the state. @throws IssuerError UPSTREAM_CHAIN when it no longer holds */
export function pathOf(
  authority: AuthorityCertificates,
  at: { readonly trustDomain: TrustDomain; readonly now: number },
): AuthorityPath {
  return checkedPath(
    {
      certificate: decode(authority.certificate),
      above: authority.chain.slice(1).map(decode),
      anchors: authority.anchors.map(decode),
    },
    at,
  );
}

function certificatesOf(
  authority: string,
  certified: CertifiedAuthority,
  at: { readonly trustDomain: TrustDomain; readonly now: number },
): AuthorityCertificates {
  const certificate = parseCertificate(certified.certificate);
  const anchors = certified.anchors.map(parseCertificate);
  const above = certified.above.map(parseCertificate);
  const { path, notAfter } = checkedPath({ certificate, above, anchors }, at);
  return {
    authority,
    certificate: encode(certificate),
    chain: path.slice(0, -1).map(encode),
    anchors: anchors.filter((anchor) => anchor.notAfter > at.now).map(encode),
    notAfter,
  };
}

function checkedPath(
  facts: {
    readonly certificate: Certificate;
    readonly above: readonly Certificate[];
    readonly anchors: readonly Certificate[];
  },
  at: { readonly trustDomain: TrustDomain; readonly now: number },
): AuthorityPath {
  try {
    return authorityPath({ ...facts, ...at });
  } catch (cause) {
    if (!(cause instanceof HeraldError)) throw cause;
    throw new IssuerError(
      "UPSTREAM_CHAIN",
      `no SVID of this authority would be accepted: ${reasonOf(cause)}`,
      { cause },
    );
  }
}

/** Two authorities with one key could not be told apart, and the change from one to the other would never end. */
function refuseKnown(authority: AuthorityCertificates, known: readonly AuthorityState[]): void {
  const same = known.find(({ certificate }) => certificate === authority.certificate);
  if (same === undefined) return;
  throw new IssuerError(
    "UPSTREAM_CHAIN",
    `the upstream's certificate is that of authority ${same.authority} already, and leaves no room for another below it; replace it, or issue it with pathlen:1`,
  );
}

function decode(base64: string): Certificate {
  return parseCertificate(Buffer.from(base64, "base64"));
}

function encode({ der }: Certificate): string {
  return Buffer.from(der).toString("base64");
}
