import { X509Certificate } from "node:crypto";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { DerReader } from "../core/x509/der-reader.ts";
import { systemClock } from "../kit/clock.ts";
import { RpcError } from "../rpc/error.ts";
import { deadlineIn, dialUnix } from "../rpc/grpc-client.ts";
import {
  SpiffeWorkloadAPIClient,
  type X509SVIDResponse,
} from "../wire/spiffe/workload/workloadapi.ts";
import { CliError } from "./cli-error.ts";
import type { Surroundings } from "./surroundings.ts";

/** One identity as it came. */
export interface FetchedSvid {
  readonly spiffeId: string;
  readonly hint: string;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly leaf: X509Certificate;
  /** PKCS#8 DER; printed nowhere. */
  readonly privateKey: Uint8Array;
  /** DER of the own trust domain's authorities. */
  readonly bundle: readonly Uint8Array[];
}

export interface FetchedIdentities {
  readonly svids: readonly FetchedSvid[];
  /** By trust domain, in its SPIFFE ID. */
  readonly federatedBundles: ReadonlyMap<string, readonly Uint8Array[]>;
}

const defaultSocket = "unix:///run/herald/herald.sock";

/**
 * Asks the Workload API once for this process's X.509-SVIDs.
 * @throws {CliError} USAGE, NODE_UNREACHABLE, NODE_REFUSED
 */
export async function fetchX509(options: {
  readonly socket: string | undefined;
  readonly timeoutMs: number;
  readonly surroundings: Surroundings;
}): Promise<FetchedIdentities> {
  const { surroundings, timeoutMs } = options;
  const named = options.socket ?? surroundings.env["SPIFFE_ENDPOINT_SOCKET"] ?? "";
  const address = named === "" ? defaultSocket : named;
  const dial = await dialUnix(address).catch((thrown: unknown) => {
    throw dialFailure(thrown, address);
  });
  const client = new SpiffeWorkloadAPIClient(dial.target, dial.credentials, dial.options);
  // SPIFFE Workload Endpoint 5.2: keeps requests that were forged through a proxy out.
  const metadata = new Metadata();
  metadata.set("workload.spiffe.io", "true");
  const stream = client.fetchX509Svid({}, metadata, {
    // grpc-js holds deadlines against the system's clock, so no other one will do.
    deadline: deadlineIn(systemClock, timeoutMs),
  });
  try {
    for await (const message of stream as AsyncIterable<X509SVIDResponse>)
      return readResponse(message);
    throw new CliError("NODE_REFUSED", `${address} ended the stream without an answer`, {
      cure: "see the node daemon's log",
    });
  } catch (thrown) {
    throw thrown instanceof CliError
      ? thrown
      : fetchFailure(thrown, { address, uid: surroundings.uid });
  } finally {
    stream.cancel();
    client.close();
  }
}

function readResponse(message: X509SVIDResponse): FetchedIdentities {
  return {
    svids: message.svids.map((svid) => {
      const chain = splitDer(svid.x509Svid);
      return {
        spiffeId: svid.spiffeId,
        hint: svid.hint,
        chain,
        leaf: new X509Certificate(chain[0] ?? Buffer.alloc(0)),
        privateKey: svid.x509SvidKey,
        bundle: splitDer(svid.bundle),
      };
    }),
    federatedBundles: new Map(
      [...message.federatedBundles].map(([domain, bundle]) => [domain, splitDer(bundle)]),
    ),
  };
}

/** Certificates that stand one after the other (Workload API, "X509SVID"). */
function splitDer(bytes: Uint8Array): readonly Uint8Array[] {
  const reader = new DerReader(bytes);
  const found: Uint8Array[] = [];
  while (!reader.isAtEnd) found.push(reader.any().encoded);
  return found;
}

function dialFailure(thrown: unknown, address: string): CliError {
  const cause = thrown instanceof Error ? thrown : undefined;
  const message = (cause?.message ?? `${address} could not be opened`).replace(/; .*$/, "");
  if (thrown instanceof RpcError && thrown.code === "ADDRESS_INVALID") {
    return new CliError("USAGE", message, { cause, cure: "write unix:///absolute/path" });
  }
  return new CliError("NODE_UNREACHABLE", message, {
    cause,
    cure: "start the node daemon, or give its socket with --socket unix:///path or SPIFFE_ENDPOINT_SOCKET",
  });
}

function fetchFailure(
  thrown: unknown,
  about: { readonly address: string; readonly uid: number },
): CliError {
  const error = thrown as Partial<ServiceError> & Error;
  const reason = status[error.code ?? status.UNKNOWN];
  const said = `${error.details ?? error.message} (${reason})`;
  if (error.code === status.PERMISSION_DENIED) {
    return new CliError("NODE_REFUSED", `there is no identity for this process: ${said}`, {
      cause: error,
      reason,
      cure: `herald entry create --spiffe-id … --selector unix:uid:${about.uid}`,
    });
  }
  if (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) {
    return new CliError("NODE_UNREACHABLE", `${about.address} has no answer yet: ${said}`, {
      cause: error,
      reason,
      cure: "look whether the node daemon has enrolled (its /readyz and its log tell), or wait longer with --timeout",
    });
  }
  return new CliError("NODE_REFUSED", `${about.address} answered: ${said}`, {
    cause: error,
    reason,
    cure: "see the node daemon's log",
  });
}
