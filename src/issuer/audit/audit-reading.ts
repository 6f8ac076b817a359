import { type Opened, openEnvelope } from "../../core/envelope/envelope.ts";
import { token26 } from "../../core/envelope/object-keys.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { HeraldError } from "../../kit/errors.ts";
import type { AuditReader } from "../ports.ts";

/** Whose chain is read, and by what it is proven. */
interface ChainSource {
  readonly issuer: SpiffeId;
  readonly trust: ControlTrust;
  readonly auditReader?: AuditReader | undefined;
}

/** The digest of record `n` of the issuer's chain, from the journal's records or else from the stream; undefined where neither has it. */
export async function digestAt(
  source: ChainSource,
  kept: readonly Uint8Array[],
  n: bigint,
): Promise<string | undefined> {
  for (const bytes of kept) {
    const record = provenRecord(source, bytes);
    if (record?.payload.n === n) return record.digest;
  }
  const { auditReader, issuer } = source;
  if (auditReader === undefined) return undefined;
  const stop = new AbortController();
  const reading = { issuer: token26(issuer), from: 1, signal: stop.signal };
  try {
    for await (const { bytes } of auditReader.readAudit(reading)) {
      const record = provenRecord(source, bytes);
      if (record?.payload.n === n) return record.digest;
    }
  } finally {
    stop.abort();
  }
  return undefined;
}

/** A record of this issuer's chain; undefined for what it did not sign. */
function provenRecord(
  { trust, issuer }: ChainSource,
  bytes: Uint8Array,
): Opened<"audit-record"> | undefined {
  try {
    const opened = openEnvelope(bytes, ["audit-record"], trust.atAnyTime());
    return opened.payload.issuer === issuer ? opened : undefined;
  } catch (thrown) {
    if (thrown instanceof HeraldError) return undefined;
    throw thrown;
  }
}
