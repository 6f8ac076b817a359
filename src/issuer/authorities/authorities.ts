import type { AuthorityState } from "../../core/envelope/authority-payloads.ts";
import type { StateObject } from "../../core/envelope/payloads.ts";
import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import type { Signer } from "../../core/x509/signer.ts";
import { type SvidTemplate, svidTemplate } from "../../core/x509/svid-template.ts";
import { IssuerError } from "../error.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import { isTrusted } from "./authority-life.ts";
import { type CertificationOptions, certifyAuthority, pathOf } from "./certification.ts";

/** An authority as it stands, or will stand, in whatever version of its object. */
export type AuthorityFacts = Omit<AuthorityState, keyof StateObject>;

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

/** The X.509 authorities of the trust domain, and the one that signs. What becomes of them is decided by `authority-life.ts`. */
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
      ({ status, notAfter }) => isTrusted(status) && notAfter > this.#options.clock.now(),
    );
  }

  /** Is this certificate, DER, that of an authority which is trusted now? */
  isTrusted(certificate: Uint8Array): boolean {
    const wanted = Buffer.from(certificate).toString("base64");
    return this.trusted().some((authority) => authority.certificate === wanted);
  }

  find(id: string): AuthorityState | undefined {
    return this.#options.state.get("authority", authorityKey(id));
  }

  active(): AuthorityState | undefined {
    return this.list().findLast((authority) => authority.status === "active");
  }

  /** By its id. @throws IssuerError AUTHORITY_UNKNOWN */
  known(id: string): AuthorityState {
    const authority = this.find(id);
    if (authority !== undefined) return authority;
    throw new IssuerError(
      "AUTHORITY_UNKNOWN",
      `there is no authority ${JSON.stringify(id)}; \`herald ca list\` names them`,
    );
  }

  /** An operator was handed an SVID of this authority: its root stays until that has ended, since no node tells of it. @throws IssuerError AUTHORITY_MISSING when it signs no more */
  async noteMinted(id: string, notAfter: number): Promise<void> {
    await this.#options.state.change(() => {
      const authority = this.known(id);
      if (authority.status !== "active")
        throw missing(`authority ${id} was replaced this very moment; mint again`);
      const mintedUntil = Math.max(authority.mintedUntil, notAfter);
      return [authorityChange({ ...authority, mintedUntil })];
    });
  }

  /** Makes one; nothing is trusted or written yet. @throws IssuerError UPSTREAM_*, KEY_* */
  async create(id: string): Promise<AuthorityFacts> {
    const certified = await certifyAuthority(id, this.trusted(), this.#options);
    return { ...certified, status: "prepared", retiredAt: 0, mintedUntil: 0 };
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

/** The change that writes an authority as it is to stand. */
export function authorityChange(authority: AuthorityFacts): Change {
  return {
    kind: "authority",
    key: authorityKey(authority.authority),
    content: (stamp) => ({ ...authority, ...stamp }),
  };
}

/** Its subject key id, hex: by this nodes and bundles name it. */
export function subjectKeyIdOf({ certificate }: Pick<AuthorityFacts, "certificate">): string {
  return parseCertificate(Buffer.from(certificate, "base64")).subjectKeyId ?? "";
}

/** Is less than this share of its own life left? Its upstream may have cut that short. */
export function hasLessLeft(
  { certificate, notAfter }: Pick<AuthorityFacts, "certificate" | "notAfter">,
  share: number,
  now: number,
): boolean {
  const { notBefore } = parseCertificate(Buffer.from(certificate, "base64"));
  return notAfter - now < (notAfter - notBefore) * share;
}

function missing(message: string): IssuerError {
  return new IssuerError("AUTHORITY_MISSING", message);
}
