import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { type EnvelopeSigner, sealEnvelope } from "../../../../src/core/envelope/envelope.ts";
import { keyOfSeed } from "../../../../src/core/envelope/join-string.ts";
import { type Kind, kinds, type Role } from "../../../../src/core/envelope/kinds.ts";
import { keyIdOf } from "../../../../src/core/envelope/pae.ts";
import type { ControlCertificate } from "../../../../src/core/envelope/payloads.ts";
import {
  certificateSigner,
  controlSigner,
  nodeSigner,
  rootSigner,
  spkiOf,
  tokenSigner,
} from "../../../../src/core/envelope/signers.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe/spiffe-id.ts";

/** Published keys, so that anybody can make the same envelopes. Nothing but tests may trust them. */

/** RFC 8032, section 7.1: the secret keys of TEST 1, TEST 2, TEST 3, TEST SHA(abc), and TEST 1024. */
export const seeds = {
  root: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
  control: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
  token: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
  otherRoot: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
  otherControl: "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
} as const;

/** RFC 6979, section A.2.5 (P-256). */
const p256 = {
  d: "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
  x: "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
  y: "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
} as const;

const base64url = (hex: string): string => Buffer.from(hex, "hex").toString("base64url");

export const rootKey: KeyObject = keyOfSeed(Buffer.from(seeds.root, "hex"));
export const controlKeyPair: KeyObject = keyOfSeed(Buffer.from(seeds.control, "hex"));
export const tokenKey: KeyObject = keyOfSeed(Buffer.from(seeds.token, "hex"));
export const otherRootKey: KeyObject = keyOfSeed(Buffer.from(seeds.otherRoot, "hex"));
export const otherControlKey: KeyObject = keyOfSeed(Buffer.from(seeds.otherControl, "hex"));
export const nodeKey: KeyObject = createPrivateKey({
  format: "jwk",
  key: {
    kty: "EC",
    crv: "P-256",
    d: base64url(p256.d),
    x: base64url(p256.x),
    y: base64url(p256.y),
  },
});

/** RFC 6979, section A.2.6 (P-384). */
const p384 = {
  d: "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
  x: "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
  y: "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
} as const;

const operatorKey: KeyObject = createPrivateKey({
  format: "jwk",
  key: {
    kty: "EC",
    crv: "P-384",
    d: base64url(p384.d),
    x: base64url(p384.x),
    y: base64url(p384.y),
  },
});

export const trustDomain: ReturnType<typeof parseTrustDomain> = parseTrustDomain("example.org");
export const pin: string = keyIdOf(spkiOf(rootKey));
/** The moment at which envelopes are looked at: 2026-11-22, noon. */
export const now: number = Date.UTC(2026, 10, 22, 12);
const day = 86_400_000;

/** The control key's certificate, signed by the root; bent as told. */
export async function certificate(
  bend: Partial<ControlCertificate> = {},
  options: { readonly root?: KeyObject; readonly key?: KeyObject } = {},
): Promise<Buffer> {
  const key = options.key ?? controlKeyPair;
  const payload: ControlCertificate = {
    td: trustDomain,
    at: now - day,
    issuer: parseSpiffeId("spiffe://example.org/herald/issuer/test"),
    publicKey: spkiOf(key).toString("base64"),
    notBefore: now - day,
    notAfter: now + 29 * day,
    ...bend,
  };
  return (await sealEnvelope("control", payload, rootSigner(options.root ?? rootKey))).bytes;
}

/** The right signer for each role. */
export const signers: Readonly<Record<Role, EnvelopeSigner>> = {
  root: rootSigner(rootKey),
  control: controlSigner(controlKeyPair, await certificate()),
  token: tokenSigner(tokenKey),
  node: nodeSigner(nodeKey),
  // The chain beside the signature is the attestor's matter.
  "operator-ca": { ...certificateSigner(operatorKey, [Buffer.from("x")]), accompanied: {} },
};

export function signerFor(kind: Kind): EnvelopeSigner {
  return signers[kinds[kind].role];
}

export const spki: Readonly<Record<"token" | "node" | "operator-ca", Buffer>> = {
  token: createPublicKey(tokenKey).export({ type: "spki", format: "der" }),
  node: createPublicKey(nodeKey).export({ type: "spki", format: "der" }),
  "operator-ca": createPublicKey(operatorKey).export({ type: "spki", format: "der" }),
};
