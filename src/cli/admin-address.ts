import { lstat, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { devPointerPath } from "../daemon/dev-pointer.ts";
import { RpcError } from "../rpc/error.ts";
import { dialUnix, type UnixDial } from "../rpc/grpc-client.ts";
import { dialAdminTls, isTlsAddress } from "./admin-tls.ts";
import { CliError } from "./cli-error.ts";
import type { Surroundings } from "./surroundings.ts";

/** An issuer that somebody answers for. */
export interface AdminDial {
  /** `unix:///…` or `tls://…`, for messages. */
  readonly address: string;
  readonly dial: UnixDial;
}

const defaultAddress = "unix:///run/herald/admin.sock";

/**
 * Finds the issuer: the flag, else HERALD_ADMIN, else the default path and, when nobody listens there, the issuer of
 * this user's last `herald dev`.
 * @throws {CliError} USAGE, ADMIN_UNREACHABLE, ADMIN_DENIED
 */
export async function findAdmin(
  flag: string | undefined,
  surroundings: Surroundings,
): Promise<AdminDial> {
  const { named, query, by } = namedBy(flag, surroundings);
  if (isTlsAddress(named)) return await dialPort(`${named}${query}`, { by, surroundings });
  if (query !== "") throw notTls();
  if (named !== "") return await dialOr(named, (error) => namedFailure(error, by));
  try {
    return { address: defaultAddress, dial: await dialUnix(defaultAddress) };
  } catch (thrown) {
    if (!(thrown instanceof RpcError) || thrown.code !== "NOBODY_LISTENS") throw failureOf(thrown);
  }
  return await findDev(surroundings);
}

/** The flags beside --admin come as its query (verb.ts), also where --admin itself is not given. */
function namedBy(
  flag: string | undefined,
  { env }: Surroundings,
): { readonly named: string; readonly query: string; readonly by: string } {
  const [, flagged = "", query = ""] = /^([^?]*)(.*)$/.exec(flag ?? "") ?? [];
  if (flagged !== "") return { named: flagged, query, by: "--admin" };
  return { named: env["HERALD_ADMIN"] ?? "", query, by: "HERALD_ADMIN" };
}

async function dialPort(
  address: string,
  from: { readonly by: string; readonly surroundings: Surroundings },
): Promise<AdminDial> {
  try {
    const dial = await dialAdminTls(address, from.surroundings);
    return { address: address.replace(/\?.*$/, ""), dial };
  } catch (thrown) {
    throw tlsFailure(thrown, from.by);
  }
}

async function findDev(surroundings: Pick<Surroundings, "env" | "uid">): Promise<AdminDial> {
  const pointer = devPointerPath(surroundings);
  const address = await readOwn(pointer, surroundings.uid);
  const tried = `neither --admin nor HERALD_ADMIN is given, nobody listens at ${defaultAddress}`;
  const cure = "start an issuer or `herald dev`, or give its address with --admin unix:///path";
  if (address === undefined) {
    throw new CliError(
      "ADMIN_UNREACHABLE",
      `no issuer found: ${tried}, and there is no ${pointer}`,
      { cure },
    );
  }
  return await dialOr(address, (cause) => {
    const message = `no issuer found: ${tried}, nor at ${address}, which ${pointer} names`;
    return new CliError("ADMIN_UNREACHABLE", message, { cause, cure });
  });
}

/**
 * A file's text, if nobody but this user can have written it: in /tmp anyone may put a file, or the folder of one, and
 * with it an "issuer" that learns what we send.
 */
async function readOwn(path: string, uid: number): Promise<string | undefined> {
  try {
    const [folder, file] = await Promise.all([lstat(dirname(path)), lstat(path)]);
    const isOurs =
      folder.isDirectory() &&
      file.isFile() &&
      [folder, file].every((one) => one.uid === uid && (one.mode & 0o022) === 0);
    if (!isOurs) return undefined;
    return (await readFile(path, "utf8")).trim();
  } catch {
    return undefined;
  }
}

async function dialOr(address: string, failure: (thrown: unknown) => CliError): Promise<AdminDial> {
  try {
    return { address, dial: await dialUnix(address) };
  } catch (thrown) {
    throw failure(thrown);
  }
}

function namedFailure(thrown: unknown, by: string): CliError {
  const error = failureOf(thrown);
  return new CliError(error.code, `${error.message} (from ${by})`, {
    cause: thrown,
    cure: error.cure,
  });
}

function notTls(): CliError {
  return new CliError("USAGE", "--svid-dir and --workload-socket are for an admin port", {
    cure: "give its address with --admin tls://host:port",
  });
}

function tlsFailure(thrown: unknown, by: string): CliError {
  if (thrown instanceof CliError || !(thrown instanceof RpcError))
    return thrown instanceof CliError ? thrown : namedFailure(thrown, by);
  const message = `${thrown.message.replace(/; .*$/, "")} (from ${by})`;
  return thrown.code === "ACCESS_DENIED"
    ? new CliError("ADMIN_DENIED", message, { cause: thrown, cure: tlsCure })
    : new CliError("ADMIN_UNREACHABLE", message, {
        cause: thrown,
        cure: "start the issuer with admin.tls in its configuration, or give its address with --admin tls://host:port",
      });
}

function failureOf(thrown: unknown): CliError {
  const cause = thrown instanceof Error ? thrown : undefined;
  const code = thrown instanceof RpcError ? thrown.code : "CALL_FAILED";
  const message = (cause?.message ?? "the admin socket could not be opened").replace(/; .*$/, "");
  if (code === "ADDRESS_INVALID") {
    return new CliError("USAGE", message, {
      cause,
      cure: "write unix:///absolute/path or tls://host:port",
    });
  }
  if (code === "ACCESS_DENIED") {
    return new CliError("ADMIN_DENIED", message, { cause, cure: deniedCure });
  }
  return new CliError("ADMIN_UNREACHABLE", message, {
    cause,
    cure: "start the issuer, or give the address of its admin socket with --admin unix:///path",
  });
}

const tlsCure =
  "give the address of an issuer of this trust domain, and fetch a fresh SVID: herald fetch x509";

/** For callers whom the issuer, or the file system in front of it, turns away. */
export const deniedCure: string =
  "run this as root, as the issuer's own user, or as a member of the group in its admin.group";
