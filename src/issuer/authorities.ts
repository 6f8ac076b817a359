import type { AuthorityState, StateObject } from "../core/envelope/payloads.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import { createAuthority } from "../core/x509/authority.ts";
import { type Certificate, parseCertificate } from "../core/x509/certificate.ts";
import type { Signer } from "../core/x509/signer.ts";
import { type SvidTemplate, svidTemplate } from "../core/x509/svid-template.ts";
import type { Clock } from "../kit/clock.ts";
import type { Random } from "../kit/random.ts";
import { isTrusted } from "./authority-life.ts";
import type { Change } from "./change.ts";
import { IssuerError } from "./error.ts";
import { newSerial } from "./identifiers.ts";
import type { AuthorityKeys } from "./ports.ts";
import type { SignedState } from "./signed-state.ts";

/** Certificates start this much in the past, for clocks that run behind (XSVID-24). */
export const backdateMs = 10_000;

/** An authority as it stands, or will stand, in whatever version of its object. */
export type AuthorityFacts = Omit<AuthorityState, keyof StateObject>;

/** An authority that can sign now. */
export interface SigningAuthority {
  readonly id: string;
  readonly certificate: Certificate;
  readonly template: SvidTemplate;
  readonly signer: Signer;
}

export interface AuthoritiesOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly keys: AuthorityKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly lifetimeMs: number;
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

  /** An operator was handed an SVID of this authority: its root stays until that has ended, since no node tells of it. */
  async noteMinted(id: string, notAfter: number): Promise<void> {
    await this.#options.state.change(() => {
      const authority = this.known(id);
      const mintedUntil = Math.max(authority.mintedUntil, notAfter);
      return [authorityChange({ ...authority, mintedUntil })];
    });
  }

  /** Makes a key and its self-signed certificate; nothing is trusted or written yet. A crash here leaves an unused key. */
  async create(id: string): Promise<AuthorityFacts> {
    const { keys, clock, random, trustDomain, lifetimeMs } = this.#options;
    const now = clock.now();
    const notAfter = now + lifetimeMs;
    const der = await createAuthority({
      signer: await keys.create(id),
      trustDomain,
      serial: newSerial(random),
      notBefore: now - backdateMs,
      notAfter,
    });
    const certificate = Buffer.from(der).toString("base64");
    return {
      authority: id,
      status: "prepared",
      certificate,
      notAfter,
      retiredAt: 0,
      mintedUntil: 0,
    };
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
    const certificate = parseCertificate(Buffer.from(active.certificate, "base64"));
    const signing: SigningAuthority = {
      id: active.authority,
      certificate,
      template: svidTemplate(certificate),
      signer,
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

function missing(message: string): IssuerError {
  return new IssuerError("AUTHORITY_MISSING", message);
}
