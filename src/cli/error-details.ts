import type { ServiceError } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo } from "../wire/google/rpc/error_details.ts";
import { Status } from "../wire/google/rpc/status.ts";

/** What an error says beside its sentence. */
export interface ErrorDetails {
  /** Herald's stable code, such as ENTRY_INVALID. */
  readonly reason?: string;
  /** The member of the request that is at fault. */
  readonly field?: string;
}

/** Reads an error's typed details; those of another kind, or none, are none. */
export function errorDetailsOf(error: Pick<ServiceError, "metadata">): ErrorDetails {
  const [written] = error.metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(written)) return {};
  try {
    const { details } = Status.decode(written);
    const infos = details.filter(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"));
    const info = infos.map(({ value }) => ErrorInfo.decode(value)).find(isHeralds);
    const bad = details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.BadRequest"));
    const violation =
      bad === undefined ? undefined : BadRequest.decode(bad.value).fieldViolations[0];
    return {
      ...(info === undefined ? {} : { reason: info.reason }),
      ...(violation === undefined ? {} : { field: violation.field }),
    };
  } catch {
    // Somebody else's error, or a broken one: the sentence says enough.
    return {};
  }
}

function isHeralds(info: ErrorInfo): boolean {
  return info.domain === "herald" && /^[A-Z][A-Z0-9_]{0,62}$/.test(info.reason);
}
