import type { IssuedSvid } from "../../core/envelope/audit-payloads.ts";
import { type EnvelopeSigner, sealProvenParts } from "../../core/envelope/envelope.ts";
import type {
  HeadRef,
  NodeRecordState,
  SignItem,
  SignRefusal,
  SignResult,
} from "../../core/envelope/payloads.ts";
import { type Entry, selectsNode } from "../../core/policy/entry.ts";
import { grantOf, refuseTaken } from "../../core/policy/grant.ts";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { readCsr } from "../../core/x509/csr.ts";
import type { Clock } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Random } from "../../kit/random.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Authorities, SigningAuthority } from "../authorities/authorities.ts";
import { type Entries, traitsOf } from "../entries/entries.ts";
import { type Admitted, recordKeyOf, refuseUnwelcome } from "../requests.ts";
import type { SignedState } from "../state/signed-state.ts";
import { type Linted, lint, type Recorded, record, sign } from "./issuance.ts";

export interface SigningOptions {
  readonly trustDomain: TrustDomain;
  readonly signer: EnvelopeSigner;
  readonly state: SignedState;
  readonly entries: Entries;
  readonly authorities: Authorities;
  readonly audit: AuditChain;
  readonly clock: Clock;
  readonly random: Random;
  /** Called after a batch was signed, to announce it. */
  readonly onIssued: (node: SpiffeId, svids: readonly IssuedSvid[]) => void;
}

/** What a reason may have in a reply. */
const longestReason = 2048;

type Prepared =
  | { readonly ok: true; readonly item: SignItem; readonly entry: Entry; readonly linted: Linted }
  | {
      readonly ok: false;
      readonly item: SignItem;
      readonly code: SignRefusal;
      readonly reason: string;
    };

/** Answers batched sign-requests. Each CSR is judged by the entry as it stands now, never by what the node says of it (MEC-14). */
export class Signing {
  readonly #options: SigningOptions;

  constructor(options: SigningOptions) {
    this.#options = options;
  }

  /** @throws IssuerError AUDIT_UNAVAILABLE, AUTHORITY_MISSING: nothing was signed. */
  async answer(admitted: Admitted<"sign-request">): Promise<Uint8Array> {
    const { trustDomain, clock, signer, authorities, audit } = this.#options;
    const { request, record: node } = admitted;
    const authority = await authorities.signing();
    const { items } = request.payload;
    const drawn = { clock, random: drawnAhead(this.#options.random, items.length * serialBytes) };
    const prepared = items.map((item) => this.#prepare(item, { node, authority, drawn }));
    const refused = prepared.filter((one) => !one.ok);
    if (refused.length > 0) {
      await audit.record({
        kind: "svids-refused",
        node: node.node,
        refused: refused.map((one) => ({ entry: one.item.entry, code: one.code })),
      });
    }
    const wanted = prepared.flatMap((one) => (one.ok ? [one] : []));
    const issued = wanted.map((one) => describe(one, authority.id));
    const recorded = await record(
      audit,
      wanted.map((one) => one.linted),
      () => ({ kind: "svids-issued", node: node.node, svids: issued }),
    );
    refuseUnwelcome(this.#options.state.get("node-record", recordKeyOf(node.node)));
    const results = await this.#sign(prepared, recorded);
    if (issued.length > 0) this.#options.onIssued(node.node, issued);
    const answer = { td: trustDomain, at: clock.now(), request: request.digest, results };
    return (await sealProvenParts("sign-reply", answer, signer)).bytes;
  }

  #prepare(
    item: SignItem,
    {
      node,
      authority,
      drawn,
    }: {
      readonly node: NodeRecordState;
      readonly authority: SigningAuthority;
      readonly drawn: { readonly clock: Clock; readonly random: Random };
    },
  ): Prepared {
    const refuse = (code: SignRefusal, reason: string): Prepared => ({
      ok: false,
      item,
      code,
      reason,
    });
    const entry = this.#options.entries.find(item.entry);
    // One answer for "not there" and "not yours": a node learns nothing of entries that are not for it (TM-N-01).
    if (entry === undefined || !selectsNode(entry.nodes, traitsOf(node)))
      return refuse("ENTRY_UNKNOWN", "no such entry for this node");
    if (entry.revision !== item.revision)
      return refuse("ENTRY_CHANGED", `the entry is at revision ${entry.revision}`);
    try {
      const { spki } = readCsr(Buffer.from(item.csr, "base64"));
      const selectors = item.purpose.kind === "caller" ? item.purpose.selectors : undefined;
      const asking = { node: traitsOf(node), selectors, now: this.#options.clock.now() };
      const { id, dnsNames, ttlSeconds } = grantOf(entry, asking);
      if (entry.template !== "") refuseTaken(id, this.#options.entries.naming(id), asking);
      return {
        ok: true,
        item,
        entry,
        linted: lint({ id, spki, dnsNames, ttlSeconds, isForEntry: true }, authority, drawn),
      };
    } catch (refused) {
      if (!(refused instanceof HeraldError)) throw refused;
      const reason = reasonOf(refused).slice(0, longestReason);
      return refuse(refused.name === "X509Error" ? "CSR_INVALID" : "LINT", reason);
    }
  }

  async #sign(
    prepared: readonly Prepared[],
    recorded: readonly Recorded[],
  ): Promise<readonly SignResult[]> {
    const chains = await Promise.all(recorded.map(sign));
    let next = 0;
    return prepared.map((one): SignResult => {
      if (!one.ok) return { ok: false, entry: one.item.entry, code: one.code, reason: one.reason };
      const chain = (chains[next++] ?? []).map((der) => Buffer.from(der).toString("base64"));
      return { ok: true, entry: one.item.entry, chain };
    });
  }
}

/** Is the head that a request tells of newer than this issuer's own? Then this issuer was restored from a copy and must not sign (protocol.md). */
export function isAhead(told: HeadRef | null, own: HeadRef): boolean {
  if (told === null) return false;
  if (told.epoch !== own.epoch) return told.epoch > own.epoch;
  return told.term > own.term || (told.term === own.term && told.n > own.n);
}

function describe(one: Extract<Prepared, { ok: true }>, authority: string): IssuedSvid {
  const { linted, entry, item } = one;
  return {
    serial: linted.serial,
    tbsSha256: linted.tbsSha256,
    spiffeId: linted.id,
    entry: entry.id,
    revision: entry.revision,
    notAfter: linted.notAfter,
    authority,
    purpose: item.purpose,
  };
}

/** What {@link lint} draws for a serial. */
const serialBytes = 16;

/** The same chance, drawn in one go: the kernel is asked once a batch and not once a certificate. */
function drawnAhead(random: Random, length: number): Random {
  const drawn = random.bytes(length);
  let used = 0;
  return {
    bytes(wanted) {
      if (used + wanted > drawn.length) return random.bytes(wanted);
      used += wanted;
      return drawn.subarray(used - wanted, used);
    },
    fraction: () => random.fraction(),
  };
}
