import type { AuthorityState } from "../core/envelope/payloads.ts";
import { type Certificate, parseCertificate } from "../core/x509/certificate.ts";
import type { Signer } from "../core/x509/signer.ts";
import { type SvidTemplate, svidTemplate } from "../core/x509/svid-template.ts";
import {
  type AuthorityCertificates,
  type CertificationOptions,
  certifyAuthority,
  pathOf,
} from "./certification.ts";
import type { Change } from "./change.ts";
import { IssuerError } from "./error.ts";
import type { SignedState } from "./signed-state.ts";

/** An authority that can sign now. */
export interface SigningAuthority {
  readonly id: string;
  readonly certificate: Certificate;
  readonly template: SvidTemplate;
  readonly signer: Signer;
  /** What follows each leaf, DER: intermediates, no root. */
  readonly chain: readonly Uint8Array[];
  /** Itself first, the root that it leads to last. */
  readonly path: readonly Certificate[];
  /** No SVID outlives this: its own end, or that of a certificate above it. */
  readonly notAfter: number;
}

export interface AuthoritiesOptions extends CertificationOptions {
  readonly state: SignedState;
}

/** The X.509 authorities of the trust domain: prepared (in the bundle, signs nothing yet), active (signs), old (signs no more, still trusted), removed. */
export class Authorities {
  readonly #options: AuthoritiesOptions;
  readonly #signing = new Map<string, SigningAuthority>();

  constructor(options: AuthoritiesOptions) {
    this.#options = options;
  }

  list(): readonly AuthorityState[] {
    return this.#options.state
      .list("authority")
      .toSorted((a, b) => a.notAfter - b.notAfter || (a.authority < b.authority ? -1 : 1));
  }

  /** Those that belong into the bundle. */
  trusted(): readonly AuthorityState[] {
    return this.list().filter(
      (authority) =>
        authority.status !== "removed" && authority.notAfter > this.#options.clock.now(),
    );
  }

  find(id: string): AuthorityState | undefined {
    return this.#options.state.get("authority", authorityKey(id));
  }

  active(): AuthorityState | undefined {
    return this.list().findLast((authority) => authority.status === "active");
  }

  /** Makes one; nothing is trusted or written yet. @throws IssuerError UPSTREAM_*, KEY_* */
  async create(id: string): Promise<AuthorityCertificates> {
    return await certifyAuthority(id, this.trusted(), this.#options);
  }

  /** The authority that signs SVIDs now. @throws IssuerError AUTHORITY_MISSING */
  async signing(): Promise<SigningAuthority> {
    const active = this.active();
    if (active === undefined)
      throw missing("there is no active X.509 authority; run `herald ca rotate`");
    const known = this.#signing.get(active.authority);
    if (known !== undefined) return known;
    const signer = await this.#options.keys.open(active.authority);
    if (signer === undefined)
      throw missing(
        `the key of authority ${active.authority} is gone from the key store; run \`herald ca rotate\``,
      );
    const { trustDomain, clock } = this.#options;
    const certificate = parseCertificate(Buffer.from(active.certificate, "base64"));
    const signing: SigningAuthority = {
      id: active.authority,
      certificate,
      template: svidTemplate(certificate),
      signer,
      chain: active.chain.map((one) => Buffer.from(one, "base64")),
      path: pathOf(active, { trustDomain, now: clock.now() }).path,
      notAfter: active.notAfter,
    };
    this.#signing.set(active.authority, signing);
    return signing;
  }
}

/** Under which key an authority lies. */
function authorityKey(id: string): string {
  return `authority.${id}`;
}

/** The change that writes an authority, new or known, in a status. */
export function authorityChange(
  authority: AuthorityCertificates,
  status: AuthorityState["status"],
): Change {
  const { authority: id, certificate, chain, anchors, notAfter } = authority;
  return {
    kind: "authority",
    key: authorityKey(id),
    content: (stamp) => ({
      ...stamp,
      authority: id,
      status,
      certificate,
      chain,
      anchors,
      notAfter,
    }),
  };
}

function missing(message: string): IssuerError {
  return new IssuerError("AUTHORITY_MISSING", message);
}
