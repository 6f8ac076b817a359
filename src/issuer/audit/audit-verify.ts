import { type ClaimedSignature, type Opened, openEnvelope } from "../../core/envelope/envelope.ts";
import type { AuditPoint } from "../../core/envelope/payloads.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";

/** What can be wrong with a chain, or between it and what somebody else saw of it. */
export type ChainFault =
  /** Bytes that no control key of the trust domain signed as an audit record. */
  | "SIGNATURE"
  /** Signed by a control key that was certified for another issuer, or not at that time. */
  | "CERTIFICATE"
  /** Records are missing. */
  | "GAP"
  /** A record stands where another one belongs. */
  | "ORDER"
  /** A number stands twice, with different contents. */
  | "FORK"
  /** A record names another predecessor than the one before it. */
  | "LINK"
  /** A witness or a head has seen another record under this number. */
  | "REWRITTEN"
  /** A witness or a head has seen records behind the end. */
  | "TRUNCATED";

/** One fault, at the record that it shows at. */
export interface ChainFinding {
  readonly code: ChainFault;
  readonly n: bigint;
  readonly text: string;
}

/** What somebody outside of the chain saw of it. */
export interface SeenPoint extends AuditPoint {
  /** Who: `file /mnt/witness`, `head 7`. */
  readonly by: string;
}

/** What became of the check. No finding: the chain is whole, as far as its beginning and its witnesses reach. */
export interface ChainReport {
  readonly issuer: SpiffeId;
  readonly records: number;
  /** Number of the first record that is there; above 1 where retention took what was before. 0 for an empty chain. */
  readonly first: bigint;
  readonly last: bigint;
  /** Of the last record. */
  readonly digest: string;
  /** Highest number that a witness or head has seen and that is the same here; 0 for none. */
  readonly witnessed: bigint;
  readonly findings: readonly ChainFinding[];
}

/** So many digests are remembered, to tell a record that stands twice from one that was written twice. */
const rememberedDigests = 10_000;

/** A chain that is broken everywhere need not be told everywhere. */
const mostFindings = 200;

const noRecord = "0".repeat(64);

/**
 * Checks one issuer's audit chain record by record, with bounded memory, without an issuer: by the pinned control root alone. What the chain cannot
 * show by itself, that it was cut and signed anew by whoever has the control key, shows against {@link SeenPoint}s.
 */
export class ChainCheck {
  readonly #issuer: SpiffeId;
  readonly #trust: ControlTrust;
  /** What was seen, by number. */
  readonly #seen = new Map<bigint, SeenPoint[]>();
  readonly #digests = new Map<bigint, string>();
  readonly #findings: ChainFinding[] = [];
  readonly #certified = new Map<string, SpiffeId>();
  #records = 0;
  #first = 0n;
  #last = 0n;
  #digest = noRecord;
  #witnessed = 0n;

  constructor(options: {
    readonly issuer: SpiffeId;
    readonly trust: ControlTrust;
    readonly seen: readonly SeenPoint[];
  }) {
    this.#issuer = options.issuer;
    this.#trust = options.trust;
    for (const point of options.seen) {
      if (point.issuer !== options.issuer) continue;
      this.#seen.set(point.n, [...(this.#seen.get(point.n) ?? []), point]);
    }
  }

  /** The next message of the chain, in the order in which it is kept. */
  take(bytes: Uint8Array): void {
    this.#records += 1;
    const record = this.#open(bytes);
    if (record === undefined) return;
    const { n, prev } = record.payload;
    const expected = this.#last + 1n;
    if (this.#first === 0n) this.#first = n;
    else if (n < expected) {
      this.#again(record);
      return;
    } else if (n > expected)
      this.#find("GAP", expected, `${missing(expected, n - 1n)}; next comes ${n}`);
    else if (prev !== this.#digest)
      this.#find(
        "LINK",
        n,
        `record ${n} follows another record ${n - 1n} than the one that stands here: one of the two was changed`,
      );
    if (n === 1n && prev !== noRecord)
      this.#find("LINK", n, "record 1 names a record before it: the chain was begun anew");
    this.#last = n;
    this.#digest = record.digest;
    this.#remember(n, record.digest);
    this.#compare(n, record.digest);
  }

  /** The chain has ended. */
  end(): ChainReport {
    const beyond = [...this.#seen.entries()].filter(([n]) => n > this.#last);
    const [n, [point] = []] = beyond.toSorted(([a], [b]) => (a > b ? -1 : 1))[0] ?? [];
    if (n !== undefined && point !== undefined)
      this.#find(
        "TRUNCATED",
        this.#last,
        `the chain ends at record ${this.#last}, and ${point.by} has seen record ${n}: ${n - this.#last} records were cut off`,
      );
    return {
      issuer: this.#issuer,
      records: this.#records,
      first: this.#first,
      last: this.#last,
      digest: this.#digest,
      witnessed: this.#witnessed,
      findings: this.#findings,
    };
  }

  #open(bytes: Uint8Array): Opened<"audit-record"> | undefined {
    let claimed: ClaimedSignature | undefined;
    const expected = this.#last + 1n;
    let record: Opened<"audit-record">;
    try {
      record = openEnvelope(bytes, ["audit-record"], {
        keyFor: (kind, signature) => {
          claimed = signature;
          return this.#trust.atAnyTime().keyFor(kind, signature);
        },
      });
    } catch (thrown) {
      if (!(thrown instanceof HeraldError)) throw thrown;
      const where = `where record ${expected} is expected stands something that no issuer signed`;
      this.#find("SIGNATURE", expected, `${where}: ${reasonOf(thrown)}`);
      return undefined;
    }
    const { issuer, at, n } = record.payload;
    if (issuer !== this.#issuer) {
      this.#find(
        "ORDER",
        expected,
        `where record ${expected} is expected stands record ${n} of ${issuer}`,
      );
      return undefined;
    }
    if (claimed !== undefined) this.#checkCertificate({ n, at, claimed });
    return record;
  }

  /** The control certificate must be this issuer's, and have been valid when the record was made. */
  #checkCertificate(record: {
    readonly n: bigint;
    readonly at: number;
    readonly claimed: ClaimedSignature;
  }): void {
    const { n, at, claimed } = record;
    try {
      this.#trust.at(at).keyFor("audit-record", claimed);
    } catch (thrown) {
      this.#find(
        "CERTIFICATE",
        n,
        `record ${n} of ${new Date(at).toISOString()}: ${reasonOf(thrown)}`,
      );
    }
    const owner = this.#ownerOf(claimed.certificate ?? "");
    if (owner !== this.#issuer)
      this.#find("CERTIFICATE", n, `record ${n} is signed by the control key of ${owner}`);
  }

  #ownerOf(certificate: string): SpiffeId {
    const known = this.#certified.get(certificate);
    if (known !== undefined) return known;
    const bytes = Buffer.from(certificate, "base64");
    const { issuer } = openEnvelope(bytes, ["control"], this.#trust.atAnyTime()).payload;
    if (this.#certified.size > 64) this.#certified.clear();
    this.#certified.set(certificate, issuer);
    return issuer;
  }

  /** A number that was passed already. */
  #again({ payload: { n }, digest }: Opened<"audit-record">): void {
    const known = this.#digests.get(n);
    if (known !== undefined && known !== digest)
      this.#find(
        "FORK",
        n,
        `record ${n} stands twice, with different contents: the chain forks here`,
      );
    else
      this.#find(
        "ORDER",
        n,
        known === undefined
          ? `record ${n} stands behind record ${this.#last}: out of its order`
          : `record ${n} stands a second time, behind record ${this.#last}`,
      );
  }

  #compare(n: bigint, digest: string): void {
    for (const { by, digest: seen } of this.#seen.get(n) ?? []) {
      if (seen === digest) this.#witnessed = n;
      else
        this.#find(
          "REWRITTEN",
          n,
          `${by} has seen another record ${n}: the chain was cut behind record ${this.#witnessed} or later, and signed anew`,
        );
    }
  }

  #remember(n: bigint, digest: string): void {
    this.#digests.set(n, digest);
    if (this.#digests.size > rememberedDigests) this.#digests.delete(n - BigInt(rememberedDigests));
  }

  #find(code: ChainFault, n: bigint, text: string): void {
    if (this.#findings.length < mostFindings) this.#findings.push({ code, n, text });
  }
}

function missing(from: bigint, to: bigint): string {
  return from === to ? `record ${from} is missing` : `records ${from} to ${to} are missing`;
}
