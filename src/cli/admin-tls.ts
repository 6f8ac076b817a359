import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bundle } from "../core/bundle/bundle.ts";
import {
  parseSpiffeId,
  pathOf,
  type TrustDomain,
  trustDomainOf,
} from "../core/spiffe/spiffe-id.ts";
import { verifyX509Svid } from "../core/svid/verify.ts";
import { parseCertificate } from "../core/x509/certificate.ts";
import { certificatesToPem, parsePem, toPem } from "../core/x509/pem.ts";
import { reasonOf } from "../kit/errors.ts";
import { RpcError } from "../rpc/error.ts";
import type { UnixDial } from "../rpc/grpc-client.ts";
import { dialTls } from "../rpc/tls-client.ts";
import { CliError } from "./cli-error.ts";
import { fetchX509 } from "./fetch-x509.ts";
import type { Surroundings } from "./surroundings.ts";

/** An issuer's admin port, and whence this client has the SVID that it shows. */
interface TlsAddress {
  readonly host: string;
  readonly port: number;
  /** A folder as `herald fetch x509 --write` makes it; undefined: the Workload API. */
  readonly svidDir: string | undefined;
  /** Defaults to SPIFFE_ENDPOINT_SOCKET, else Herald's own socket. */
  readonly workloadSocket: string | undefined;
}

/** What this client shows, and what it trusts. */
interface OwnSvid {
  readonly chain: readonly Uint8Array[];
  readonly privateKey: Uint8Array;
  readonly authorities: readonly Uint8Array[];
}

/** Of several identities of this process the one with this hint is shown; without one, the first. */
const adminHint = "admin";

/** Is it an address for {@link dialAdminTls}? */
export function isTlsAddress(address: string): boolean {
  return address.startsWith("tls:");
}

/**
 * Dials an issuer's admin port with this process's SVID. The server must be an issuer of the same trust domain, by the bundle that came with the SVID.
 * @throws {CliError} USAGE, NODE_UNREACHABLE, NODE_REFUSED; {RpcError} NOBODY_LISTENS, ACCESS_DENIED, TIMED_OUT
 */
export async function dialAdminTls(address: string, surroundings: Surroundings): Promise<UnixDial> {
  const { host, port, svidDir, workloadSocket } = parseTlsAddress(address);
  const own =
    svidDir === undefined
      ? await fromWorkloadApi(workloadSocket, surroundings)
      : await fromFolder(svidDir);
  const trustDomain = domainOf(own);
  const bundle: Bundle = {
    trustDomain,
    sequence: 0n,
    refreshHintSeconds: undefined,
    x509Authorities: own.authorities,
    jwtAuthorities: [],
  };
  return await dialTls({
    host,
    port,
    cert: certificatesToPem(own.chain),
    key: toPem("PRIVATE KEY", own.privateKey),
    ca: certificatesToPem(own.authorities),
    verifyServer: (chain) => verifyIssuer(chain, bundle, surroundings.clock.now()),
  });
}

/** @throws RpcError ACCESS_DENIED; SvidError */
function verifyIssuer(chain: readonly Uint8Array[], bundle: Bundle, now: number): void {
  const { id } = verifyX509Svid(chain, new Map([[bundle.trustDomain, bundle]]), now);
  const isIssuer = /^\/herald\/issuer\/[^/]+$/.test(pathOf(id));
  if (!isIssuer || trustDomainOf(id) !== bundle.trustDomain)
    throw new RpcError(
      "ACCESS_DENIED",
      `the server is ${id}, and no issuer of ${bundle.trustDomain}`,
    );
}

/** `tls://host:port?svid-dir=/path` or `…?workload-socket=unix:///path`. @throws {CliError} USAGE */
export function parseTlsAddress(address: string): TlsAddress {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const known = ["svid-dir", "workload-socket"];
  const isPlain =
    url !== undefined &&
    url.protocol === "tls:" &&
    url.hostname !== "" &&
    url.port !== "" &&
    url.username + url.password + url.hash === "" &&
    ["", "/"].includes(url.pathname) &&
    [...url.searchParams.keys()].every((name) => known.includes(name));
  if (!isPlain) {
    throw new CliError("USAGE", `"${address}" is not the address of an admin port`, {
      cure: "write tls://host:port",
    });
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port),
    svidDir: url.searchParams.get("svid-dir") ?? undefined,
    workloadSocket: url.searchParams.get("workload-socket") ?? undefined,
  };
}

async function fromWorkloadApi(
  socket: string | undefined,
  surroundings: Surroundings,
): Promise<OwnSvid> {
  const { svids } = await fetchX509({ socket, timeoutMs: 10_000, surroundings });
  const chosen = svids.find(({ hint }) => hint === adminHint) ?? svids[0];
  if (chosen === undefined)
    throw new CliError("NODE_REFUSED", "there is no identity for this process");
  const { chain, privateKey, bundle: authorities } = chosen;
  return { chain, privateKey, authorities };
}

async function fromFolder(dir: string): Promise<OwnSvid> {
  const read = async (name: string): Promise<string> => await readFile(join(dir, name), "utf8");
  try {
    const [privateKey] = parsePem("PRIVATE KEY", await read("svid.0.key"));
    return {
      chain: parsePem("CERTIFICATE", await read("svid.0.pem")),
      privateKey: privateKey ?? new Uint8Array(),
      authorities: parsePem("CERTIFICATE", await read("bundle.0.pem")),
    };
  } catch (cause) {
    throw new CliError("USAGE", `${dir} has no SVID to show: ${reasonOf(cause)}`, {
      cause,
      cure: "make one with: herald fetch x509 --write DIR",
    });
  }
}

function domainOf({ chain }: OwnSvid): TrustDomain {
  const [uri = ""] = parseCertificate(chain[0] ?? new Uint8Array()).uris;
  return trustDomainOf(parseSpiffeId(uri));
}
