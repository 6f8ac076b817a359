import type { Operator } from "../../core/envelope/audit-payloads.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { isReserved, pathOf, type SpiffeId, trustDomainOf } from "../../core/spiffe/spiffe-id.ts";
import { readCsr } from "../../core/x509/csr.ts";
import type { Clock } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Random } from "../../kit/random.ts";
import type { Announcer } from "../announcer.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Authorities } from "../authorities/authorities.ts";
import { IssuerError } from "../error.ts";
import { fencedError, type SignedState } from "../state/signed-state.ts";
import { type Linted, lint, record, sign } from "./issuance.ts";

/** As much as an auditor reads. */
const longestReason = 512;

const mostDnsNames = 16;

export interface MintingOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly audit: AuditChain;
  readonly announcer: Announcer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** No minted SVID lives longer: nobody renews it, and nobody knows who has it. */
  readonly maxTtlSeconds: number;
}

/** What an operator wants minted. */
export interface MintOrder {
  readonly spiffeId: SpiffeId;
  /** PKCS#10, DER: the key was made by whoever asks and stays there. */
  readonly csr: Uint8Array;
  /** 0: as long as is allowed. */
  readonly ttlSeconds: number;
  readonly dnsNames: readonly string[];
  /** For the audit chain; demanded. */
  readonly reason: string;
  readonly by: Operator;
}

/** What was minted. */
export interface Minted {
  readonly serial: string;
  readonly authority: string;
  readonly notAfter: number;
  /** DER, leaf first, no root. */
  readonly chain: readonly Uint8Array[];
  /** Roots of the trust domain, DER. */
  readonly bundle: readonly Uint8Array[];
}

/** SVIDs by an operator's hand, for recovery: of no entry and no node, short, and on the audit chain with the reason. */
export class Minting {
  readonly #options: MintingOptions;

  constructor(options: MintingOptions) {
    this.#options = options;
  }

  /** @throws IssuerError MINT_INVALID, AUTHORITY_MISSING, AUDIT_UNAVAILABLE, FENCED: nothing was signed */
  async mint(order: MintOrder): Promise<Minted> {
    const { state, authorities, audit, announcer, log } = this.#options;
    const { spiffeId, reason, by } = order;
    if (state.fenced) throw fencedError();
    this.#refuseInvalid(order);
    const authority = await authorities.signing();
    const linted = this.#lint(order, authority);
    const { serial, tbsSha256, notAfter } = linted;
    const minted = { serial, notAfter, authority: authority.id };
    await authorities.noteMinted(authority.id, notAfter);
    const [recorded] = await record(audit, [linted], () => ({
      kind: "svid-minted",
      ...minted,
      tbsSha256,
      spiffeId,
      ...(order.dnsNames.length === 0 ? {} : { dnsNames: order.dnsNames }),
      reason,
      by,
    }));
    const chain = recorded === undefined ? [] : await sign(recorded);
    log.warn({ spiffeId, serial, reason, by }, "an SVID was minted by an operator");
    announcer.announce("svid.issued", spiffeId, {
      serial,
      entry: "",
      node: "",
      notAfter: new Date(notAfter).toISOString(),
    });
    const roots = new Set(authorities.trusted().flatMap(({ anchors }) => anchors));
    const bundle = [...roots].map((root) => Buffer.from(root, "base64"));
    return { ...minted, chain, bundle };
  }

  #lint(order: MintOrder, authority: Awaited<ReturnType<Authorities["signing"]>>): Linted {
    const { spiffeId: id, dnsNames, csr } = order;
    const ttlSeconds = order.ttlSeconds === 0 ? this.#options.maxTtlSeconds : order.ttlSeconds;
    try {
      const { spki } = readCsr(csr);
      return lint({ id, spki, dnsNames, ttlSeconds, isForEntry: true }, authority, this.#options);
    } catch (thrown) {
      if (!(thrown instanceof HeraldError)) throw thrown;
      throw invalid(reasonOf(thrown), { cause: thrown });
    }
  }

  #refuseInvalid(order: MintOrder): void {
    const { trustDomain, maxTtlSeconds } = this.#options;
    const { spiffeId, ttlSeconds, dnsNames, reason } = order;
    if (trustDomainOf(spiffeId) !== trustDomain)
      throw invalid(`spiffe-id: ${spiffeId} is not in this trust domain (${trustDomain})`);
    if (pathOf(spiffeId) === "")
      throw invalid("spiffe-id: a workload's ID has a path, such as /web");
    if (isReserved(spiffeId))
      throw invalid("spiffe-id: paths below /herald/ are Herald's own nodes and issuers");
    if (ttlSeconds < 0 || ttlSeconds > maxTtlSeconds)
      throw invalid(
        `ttl: ${ttlSeconds} s is above the limit of ${maxTtlSeconds} s; ask for less, or raise mint.maxTtl in the issuer's configuration`,
      );
    if (reason.trim() === "" || reason.length > longestReason)
      throw invalid(`reason: say in 1 to ${longestReason} characters what this is for`);
    if (dnsNames.length > mostDnsNames)
      throw invalid(`dns: ${dnsNames.length} are given, ${mostDnsNames} at most fit`);
  }
}

function invalid(message: string, options?: ErrorOptions): IssuerError {
  return new IssuerError("MINT_INVALID", message, options);
}
