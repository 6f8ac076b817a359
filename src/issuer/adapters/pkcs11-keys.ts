import { createHash, verify } from "node:crypto";
import type { Template } from "pkcs11js";
import { ecdsaSignature, ecPoint } from "../../core/x509/ecdsa.ts";
import { algorithmOfKey, curveParameters, type KeyType } from "../../core/x509/key-type.ts";
import { ecSpki, importPublicKey } from "../../core/x509/public-key.ts";
import type { Signer } from "../../core/x509/signer.ts";
import { IssuerError } from "../error.ts";
import type { AuthorityKeys } from "../ports.ts";
import { ck, cka } from "./cryptoki.ts";
import type { Pkcs11Token, TokenSession } from "./pkcs11-token.ts";

const digestOf: Readonly<Record<KeyType, "sha256" | "sha384">> = {
  "ec-p256": "sha256",
  "ec-p384": "sha384",
};

/** r and s of the largest curve. */
const longestSignature = 96;

/** Authorities' keys inside a PKCS#11 token: made there, never to leave it. */
export class Pkcs11Keys implements AuthorityKeys {
  readonly #token: Pkcs11Token;
  readonly #keyType: KeyType;

  constructor(token: Pkcs11Token, keyType: KeyType) {
    this.#token = token;
    this.#keyType = keyType;
  }

  /** @throws IssuerError KEY_STORE, KEY_UNUSABLE, KEY_STORE_AWAY */
  async create(authority: string): Promise<Signer> {
    await this.#token.use(async (session) => {
      // Also there when the token made it, and failed before it said so.
      if (find(session, ck.objectPrivateKey, authority) !== undefined) return;
      const { publicKey, privateKey } = templatesOf(authority, this.#keyType);
      await session.library.C_GenerateKeyPairAsync(
        session.handle,
        { mechanism: ck.mechanismEcKeyPairGen },
        publicKey,
        privateKey,
      );
    });
    const signer = await this.open(authority);
    if (signer === undefined)
      throw unusable(authority, "is not there although the token said that it made it");
    return signer;
  }

  /** @throws IssuerError KEY_UNUSABLE when the key could leave the token, or its halves do not belong together */
  async open(authority: string): Promise<Signer | undefined> {
    const facts = await this.#token.use(async (session) => read(session, authority));
    if (facts === undefined) return undefined;
    const { keyType, spki } = facts;
    let known: { readonly login: number; readonly key: Buffer } | undefined;
    const signer: Signer = {
      algorithm: algorithmOfKey[keyType],
      spki,
      sign: (toBeSigned) =>
        this.#token.use(async (session) => {
          if (known?.login !== session.login)
            known = { login: session.login, key: found(session, authority) };
          const { key } = known;
          const digest = createHash(digestOf[keyType]).update(toBeSigned).digest();
          return await signDigest(session, key, digest);
        }),
    };
    await prove(signer, authority, keyType);
    return signer;
  }

  adopt(): Promise<void> {
    return Promise.reject(
      new IssuerError(
        "KEY_STORE",
        "keys in a token are made there and nowhere else, and the upstream's path length allows no authority below it; issue the upstream's certificate with pathlen:1",
      ),
    );
  }

  async delete(authority: string): Promise<void> {
    await this.#token.use(async (session) => {
      for (const kind of [ck.objectPrivateKey, ck.objectPublicKey]) {
        const handle = find(session, kind, authority);
        if (handle !== undefined) session.library.C_DestroyObject(session.handle, handle);
      }
    });
  }
}

/** On the module's own thread, so that a slow token does not hold up the event loop. */
async function signDigest(session: TokenSession, key: Buffer, digest: Buffer): Promise<Uint8Array> {
  const { library, handle } = session;
  library.C_SignInit(handle, { mechanism: ck.mechanismEcdsa }, key);
  return ecdsaSignature(await library.C_SignAsync(handle, digest, Buffer.alloc(longestSignature)));
}

function templatesOf(
  authority: string,
  keyType: KeyType,
): { readonly publicKey: Template; readonly privateKey: Template } {
  const common = [
    { type: cka.token, value: true },
    { type: cka.keyType, value: ck.keyTypeEc },
    { type: cka.label, value: labelOf(authority) },
    { type: cka.id, value: Buffer.from(authority, "utf8") },
  ];
  return {
    publicKey: [
      ...common,
      { type: cka.class, value: ck.objectPublicKey },
      { type: cka.private, value: false },
      { type: cka.verify, value: true },
      { type: cka.ecParams, value: Buffer.from(curveParameters[keyType]) },
    ],
    privateKey: [
      ...common,
      { type: cka.class, value: ck.objectPrivateKey },
      { type: cka.private, value: true },
      { type: cka.sign, value: true },
      { type: cka.sensitive, value: true },
      { type: cka.extractable, value: false },
    ],
  };
}

/** As operators see it in their token's own tools. */
function labelOf(authority: string): string {
  return `herald authority ${authority}`;
}

/** The one object of this kind. @throws IssuerError KEY_UNUSABLE when there are several */
function find(session: TokenSession, kind: number, authority: string): Buffer | undefined {
  const { library, handle } = session;
  library.C_FindObjectsInit(handle, [
    { type: cka.class, value: kind },
    { type: cka.id, value: Buffer.from(authority, "utf8") },
    { type: cka.label, value: labelOf(authority) },
  ]);
  try {
    const [first, ...more] = library.C_FindObjects(handle, 2);
    if (more.length > 0)
      throw unusable(authority, "is there twice; remove the one that is not its own");
    return first;
  } finally {
    library.C_FindObjectsFinal(handle);
  }
}

function found(session: TokenSession, authority: string): Buffer {
  const key = find(session, ck.objectPrivateKey, authority);
  if (key === undefined) throw unusable(authority, "is gone from the token");
  return key;
}

/** What the token tells of a key; undefined when there is none. */
function read(
  session: TokenSession,
  authority: string,
): { readonly keyType: KeyType; readonly spki: Uint8Array } | undefined {
  const { library, handle } = session;
  const privateKey = find(session, ck.objectPrivateKey, authority);
  if (privateKey === undefined) return undefined;
  const [sensitive, extractable] = library.C_GetAttributeValue(handle, privateKey, [
    { type: cka.sensitive },
    { type: cka.extractable },
  ]);
  if (sensitive?.value[0] !== 1 || extractable?.value[0] !== 0)
    throw unusable(
      authority,
      "could leave the token (CKA_SENSITIVE, CKA_EXTRACTABLE); Herald did not make it so",
    );
  const publicKey = find(session, ck.objectPublicKey, authority);
  if (publicKey === undefined) throw unusable(authority, "has lost its public half in the token");
  const [parameters, point] = library.C_GetAttributeValue(handle, publicKey, [
    { type: cka.ecParams },
    { type: cka.ecPoint },
  ]);
  const curve = Buffer.from(parameters?.value ?? []);
  const keyType = (["ec-p256", "ec-p384"] as const).find((one) =>
    curve.equals(curveParameters[one]),
  );
  if (keyType === undefined || point === undefined)
    throw unusable(authority, "is not on P-256 or P-384");
  return { keyType, spki: ecSpki(algorithmOfKey[keyType], ecPoint(point.value)) };
}

/** One signature: a token whose halves were mixed up would sign a whole fleet's SVIDs for nothing. */
async function prove(signer: Signer, authority: string, keyType: KeyType): Promise<void> {
  const probe = Buffer.from(`herald: is this the key of authority ${authority}?`);
  const signature = await signer.sign(probe);
  if (!verify(digestOf[keyType], probe, importPublicKey(signer.spki), signature))
    throw unusable(authority, "does not sign for its public half");
}

function unusable(authority: string, what: string): IssuerError {
  return new IssuerError("KEY_UNUSABLE", `the key of authority ${authority} ${what}`);
}
