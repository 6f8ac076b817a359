import { sealEnvelope } from "../../../src/core/envelope/envelope.ts";
import type { Payloads } from "../../../src/core/envelope/kinds.ts";
import {
  bundleKey,
  controlKey,
  groupIndexKey,
  manifestKey,
  revocationsKey,
} from "../../../src/core/envelope/object-keys.ts";
import { sha256Hex } from "../../../src/core/envelope/pae.ts";
import type { Head, ObjectRef } from "../../../src/core/envelope/payloads.ts";
import { ControlTrust } from "../../../src/core/envelope/trust.ts";
import type { Version } from "../../../src/core/envelope/version.ts";
import { now, pin, signerFor, trustDomain } from "../../core/envelope/support/keys.ts";
import { node } from "../../core/envelope/support/samples.ts";

/** Signed state as an issuer of example.org would send it to the node of the samples. */

export const keys: Readonly<
  Record<"control" | "bundle" | "revocations" | "index" | "manifest", string>
> = {
  control: controlKey,
  bundle: bundleKey(trustDomain),
  revocations: revocationsKey(trustDomain),
  index: groupIndexKey,
  manifest: manifestKey(node),
};

/** An envelope of state, and how a head would name it. */
export interface Signed {
  readonly bytes: Uint8Array;
  readonly key: string;
  readonly ref: ObjectRef;
}

export function v(term: number, seq: number, epoch = 1): Version {
  return { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) };
}

export const newTrust = (): ControlTrust => new ControlTrust({ trustDomain, pin });

type StateKind = "epoch" | "bundle" | "revocations" | "group-index" | "manifest";

type Maker<K extends StateKind> = (
  version: Version,
  bend?: Partial<Payloads[K]>,
) => Promise<Signed>;

async function signed<K extends StateKind>(kind: K, payload: Payloads[K]): Promise<Signed> {
  const { bytes, digest } = await sealEnvelope(kind, payload, signerFor(kind));
  return { bytes, key: payload.key, ref: { version: payload.version, digest } };
}

const stamp = (key: string, version: Version) => ({ td: trustDomain, at: now, key, version });

export const epoch: Maker<"epoch"> = async (version, bend = {}) =>
  await signed("epoch", { ...stamp(keys.control, version), revokedKeys: [], ...bend });

export const bundle: Maker<"bundle"> = async (version, bend = {}) =>
  await signed("bundle", {
    ...stamp(keys.bundle, version),
    document: "{}",
    revocations: v(0, 0, 0),
    activeAuthority: "",
    taintedAuthorities: [],
    brokerPins: [],
    ...bend,
  });

export const revocations: Maker<"revocations"> = async (version, bend = {}) =>
  await signed("revocations", { ...stamp(keys.revocations, version), crls: [], ...bend });

export const index: Maker<"group-index"> = async (version, bend = {}) =>
  await signed("group-index", { ...stamp(keys.index, version), entries: [], pages: [], ...bend });

export const manifest: Maker<"manifest"> = async (version, bend = {}) =>
  await signed("manifest", {
    ...stamp(keys.manifest, version),
    node,
    labels: {},
    banned: false,
    entries: [],
    goesWith: v(0, 0, 0),
    before: [],
    ...bend,
  });

/** A head that names these objects, `n` of `term`. */
export async function head(
  term: number,
  n: number,
  bend: Partial<Head> & { readonly of?: readonly Signed[] } = {},
): Promise<Uint8Array> {
  const { of = [], ...rest } = bend;
  const payload: Head = {
    td: trustDomain,
    at: now,
    epoch: 1n,
    term: BigInt(term),
    n: BigInt(n),
    objects: Object.fromEntries(of.map(({ key, ref }) => [key, ref])),
    merkleRoot: sha256Hex(Buffer.alloc(0)),
    viewEveryMs: 30_000,
    ackSpreadMs: 0,
    expires: now + 45_000,
    ...rest,
  };
  return (await sealEnvelope("head", payload, signerFor("head"))).bytes;
}
