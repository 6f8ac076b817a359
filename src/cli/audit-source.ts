import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { openEnvelope } from "../core/envelope/envelope.ts";
import { ControlTrust } from "../core/envelope/trust.ts";
import { parseTrustDomain } from "../core/spiffe/spiffe-id.ts";
import { HeraldError, reasonOf } from "../kit/errors.ts";
import type { DescribeAuditResponse, ReadAuditRequest } from "../wire/herald/v1/audit.ts";
import type { Admin } from "./admin-client.ts";
import type { ShownRecord } from "./audit-line.ts";
import { CliError } from "./cli-error.ts";

/** Nothing of a chain is asked for but what is named here. */
export function readRequest(wanted: Partial<ReadAuditRequest>): ReadAuditRequest {
  return { issuer: "", since: 0n, follow: false, node: "", find: "", ...wanted };
}

/** What proves records: by the pin that was given, or else by the one that the issuer tells. */
export function trustOf(told: DescribeAuditResponse, pin: string | undefined): ControlTrust {
  return new ControlTrust({
    trustDomain: parseTrustDomain(told.trustDomain),
    pin: pin ?? told.pin,
  });
}

/** A record, proven; or why its bytes are none. */
export function proven(bytes: Uint8Array, trust: ControlTrust): ShownRecord | string {
  try {
    return openEnvelope(bytes, ["audit-record"], trust.atAnyTime());
  } catch (thrown) {
    if (thrown instanceof HeraldError) return reasonOf(thrown);
    throw thrown;
  }
}

/**
 * The envelopes of a stream, with their sequences.
 *
 * @yields each as it comes
 */
export async function* streamed(
  admin: Admin,
  request: ReadAuditRequest,
  signal: AbortSignal,
): AsyncGenerator<{ readonly sequence: bigint; readonly bytes: Uint8Array }, void, undefined> {
  for await (const { sequence, envelope } of admin.readAudit(request, signal))
    yield { sequence, bytes: envelope };
}

/**
 * The lines of a file, an envelope each, one at a time.
 *
 * @yields each line that is not empty
 * @throws CliError FILE_FAILED
 */
export async function* linesOf(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const input = createReadStream(path);
  // readline passes no failure on to the one who iterates.
  const failed = new Promise<never>((_resolve, reject) => input.once("error", reject));
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const iterator = lines[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), failed]);
      if (next.done === true) return;
      if (next.value !== "") yield Buffer.from(next.value);
    }
  } catch (cause) {
    throw new CliError("FILE_FAILED", `${path} cannot be read: ${reasonOf(cause)}`, {
      cause,
      cure: "give a file with an envelope a line, as `herald audit export` writes it",
    });
  } finally {
    lines.close();
    input.destroy();
  }
}
