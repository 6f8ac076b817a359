import { Metadata } from "@grpc/grpc-js";
import type { Any } from "../../wire/google/protobuf/any.ts";
import { BadRequest, ErrorInfo } from "../../wire/google/rpc/error_details.ts";
import { Status } from "../../wire/google/rpc/status.ts";

/** Under this trailer every gRPC library finds the typed details of an error (google.rpc.Status). */
const trailer = "grpc-status-details-bin";

/** The domain of Herald's reasons (google.rpc.ErrorInfo). */
const domain = "herald";

/** All of it travels in trailers, of which many clients take no more than 8 KiB. */
const longestMessage = 1024;

/** An error's details for programs: its stable reason, and the member of the request that is at fault. */
export function errorDetails(error: {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly field?: string | undefined;
}): Metadata {
  const { code, reason, field } = error;
  const message = error.message.slice(0, longestMessage);
  const known = new Map(field === undefined ? [] : [["field", field]]);
  const info = ErrorInfo.encode({ reason, domain, metadata: known }).finish();
  const details = [anyOf("google.rpc.ErrorInfo", info)];
  if (field !== undefined) {
    const violation = { field, description: message };
    const value = BadRequest.encode({ fieldViolations: [violation] }).finish();
    details.push(anyOf("google.rpc.BadRequest", value));
  }
  const metadata = new Metadata();
  metadata.set(trailer, Buffer.from(Status.encode({ code, message, details }).finish()));
  return metadata;
}

function anyOf(type: string, value: Uint8Array): Any {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(value) };
}
