import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { exportPrivateKey, type KeyMaker, nodeKeyMaker } from "../../core/x509/key-pair.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Authorities } from "../authorities/authorities.ts";
import { lint, record, sign } from "./issuance.ts";

/** A certificate and its key, as a TLS server needs them. */
export interface ServerIdentity {
  /** DER, leaf first, no root. */
  readonly chain: readonly Uint8Array[];
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array;
}

export interface OwnSvidOptions {
  /** `spiffe://td/herald/issuer/<id>`. */
  readonly issuer: SpiffeId;
  readonly authorities: Authorities;
  readonly audit: AuditChain;
  readonly clock: Clock;
  readonly random: Random;
  readonly ttlSeconds: number;
  /** Defaults to Node's generator. */
  readonly keyMaker?: KeyMaker;
}

/** The issuer's own SVID: signed by its own authority, linted and recorded as any other. */
export class OwnSvid {
  readonly #options: OwnSvidOptions;
  #held:
    | { readonly identity: ServerIdentity; readonly authority: string; readonly renewAt: number }
    | undefined;

  constructor(options: OwnSvidOptions) {
    this.#options = options;
  }

  /**
   * The SVID to serve with now, and whether it is a new one: at half its life, and as soon as another authority signs, so that what is below the old one goes.
   * @throws IssuerError AUDIT_UNAVAILABLE, AUTHORITY_MISSING: the one before holds on.
   */
  async current(
    dnsNames: readonly string[],
  ): Promise<{ readonly identity: ServerIdentity; readonly fresh: boolean }> {
    const { authorities, clock } = this.#options;
    const held = this.#held;
    const isGood =
      held !== undefined &&
      clock.now() < held.renewAt &&
      authorities.active()?.authority === held.authority;
    return isGood
      ? { identity: held.identity, fresh: false }
      : { identity: await this.#make(dnsNames), fresh: true };
  }

  async #make(dnsNames: readonly string[]): Promise<ServerIdentity> {
    const { issuer: id, authorities, audit, ttlSeconds, keyMaker = nodeKeyMaker } = this.#options;
    const { privateKey, spki } = await keyMaker.p256();
    const authority = await authorities.signing();
    const wanted = { id, spki, dnsNames, ttlSeconds, isForEntry: false };
    const linted = lint(wanted, authority, this.#options);
    const { serial, tbsSha256, notAfter } = linted;
    const recorded = await record(audit, [linted], () => ({
      kind: "issuer-certified",
      issuer: id,
      serial,
      tbsSha256,
      notAfter,
    }));
    const [chain = []] = await Promise.all(recorded.map(sign));
    const identity = { chain, privateKey: exportPrivateKey(privateKey) };
    const now = this.#options.clock.now();
    const renewAt = now + (notAfter - now) / 2;
    this.#held = { identity, authority: authority.id, renewAt };
    return identity;
  }
}
