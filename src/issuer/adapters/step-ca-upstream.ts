import { createHash } from "node:crypto";
import { type CryptoKey, compactDecrypt, importJWK, type JWK, SignJWT } from "jose";
import { z } from "zod";
import { base32 } from "../../core/envelope/object-keys.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { trustDomainId } from "../../core/spiffe/spiffe-id.ts";
import { authorityCsr } from "../../core/x509/authority-csr.ts";
import { parseCertificate } from "../../core/x509/certificate.ts";
import { certificatesToPem, toPem } from "../../core/x509/pem.ts";
import type { Clock } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Random } from "../../kit/random.ts";
import { IssuerError } from "../error.ts";
import type {
  AuthorityRequest,
  CertifiedAuthority,
  UpstreamAuthority,
  UpstreamTrust,
} from "../ports.ts";
import { askUpstream, certificatesOf } from "./upstream-https.ts";

export interface StepCaOptions {
  /** Without a trailing slash. */
  readonly url: string;
  /** SHA-256 of the root certificate, lower-case hex. */
  readonly fingerprint: string;
  /** Name of a JWK provisioner whose template makes intermediates. */
  readonly provisioner: string;
  /** Its private key: a JWK, or the encrypted one that step-ca keeps, as text. Asked for each time, never kept. */
  readonly key: () => Promise<string>;
  /** Of the encrypted key. */
  readonly password: (() => Promise<string>) | undefined;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly random: Random;
}

const pemText = z.string();
const rootAnswer = z.object({ ca: pemText });
const listAnswer = z.object({ crts: z.array(pemText) });
const signAnswer = z.object({ certChain: z.array(pemText).min(1) });

const jwkShape = z.looseObject({
  kty: z.string(),
  kid: z.string(),
  d: z.string(),
  crv: z.string().optional(),
});

/** A token is used at once; clocks may differ by some minutes. */
const tokenLifeSeconds = 300;

/** step's own tools derive the key from the password in 100,000 to 600,000 rounds; jose's default limit is for hostile input. */
const mostRounds = 2_000_000;

const algorithms: Readonly<Record<string, string>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
  Ed25519: "EdDSA",
};

/** A step-ca that certifies authorities by its API, with one-time tokens of a JWK provisioner. Its root is known by fingerprint, as `step ca bootstrap` does it. */
export class StepCaUpstream implements UpstreamAuthority {
  readonly #options: StepCaOptions;
  #root: string | undefined;

  constructor(options: StepCaOptions) {
    this.#options = options;
  }

  /** @throws IssuerError UPSTREAM_AWAY, UPSTREAM_REFUSED */
  async certify(request: AuthorityRequest): Promise<CertifiedAuthority> {
    const { trustDomain, url } = this.#options;
    const { issuer, anchors } = await this.trust();
    const ends = [issuer, ...anchors].map((der) => parseCertificate(der).notAfter);
    const commonName = `Herald ${request.authority}`;
    const csr = await authorityCsr({ signer: await request.key(), trustDomain, commonName });
    const { certChain } = await askUpstream({
      method: "POST",
      url: `${url}/1.0/sign`,
      body: {
        csr: toPem("CERTIFICATE REQUEST", csr),
        ott: await this.#token(commonName, csr),
        notAfter: new Date(Math.min(request.notAfter, ...ends)).toISOString(),
      },
      trust: [await this.#pinnedRoot()],
      shape: signAnswer,
    });
    const [certificate, ...above] = certChain.flatMap(certificatesOf);
    if (certificate === undefined || !parseCertificate(certificate).isCa)
      throw new IssuerError(
        "UPSTREAM_REFUSED",
        `step-ca made a certificate that is no CA; give provisioner ${this.#options.provisioner} a template for intermediates (docs/operations.md, Upstream)`,
      );
    return { certificate, above, anchors };
  }

  /** @throws IssuerError UPSTREAM_AWAY, UPSTREAM_REFUSED */
  async trust(): Promise<UpstreamTrust & { readonly issuer: Uint8Array }> {
    const trust = [await this.#pinnedRoot()];
    const list = async (what: string): Promise<readonly Uint8Array[]> => {
      const url = `${this.#options.url}/1.0/${what}`;
      const { crts } = await askUpstream({ method: "GET", url, trust, shape: listAnswer });
      return crts.flatMap(certificatesOf);
    };
    const [issuer] = await list("intermediates");
    const anchors = await list("roots");
    if (issuer === undefined || anchors.length === 0)
      throw new IssuerError("UPSTREAM_REFUSED", "step-ca names no intermediate, or no root");
    return { issuer, anchors };
  }

  /** step-ca tells nobody of its changes; they are found by asking. */
  watch(): () => void {
    return () => undefined;
  }

  /** PEM. Fetched over a connection that proves nothing, and believed by its fingerprint alone. */
  async #pinnedRoot(): Promise<string> {
    if (this.#root !== undefined) return this.#root;
    const { url, fingerprint } = this.#options;
    const { ca } = await askUpstream({
      method: "GET",
      url: `${url}/root/${fingerprint}`,
      trust: "unchecked",
      shape: rootAnswer,
    });
    const root = certificatesOf(ca).find(
      (der) => createHash("sha256").update(der).digest("hex") === fingerprint,
    );
    if (root === undefined)
      throw new IssuerError(
        "UPSTREAM_REFUSED",
        `${url} has another root than upstream.fingerprint says; somebody is in between, or the fingerprint is another's (step certificate fingerprint root_ca.crt)`,
      );
    this.#root = certificatesToPem([root]);
    return this.#root;
  }

  /** Good for this request alone: it carries the hash of the CSR. */
  async #token(subject: string, csr: Uint8Array): Promise<string> {
    const { url, provisioner, fingerprint, trustDomain, clock, random } = this.#options;
    const jwk = await this.#provisionerKey();
    const seconds = Math.floor(clock.now() / 1000);
    const confirmed = createHash("sha256").update(csr).digest("base64url");
    return await new SignJWT({
      sans: [trustDomainId(trustDomain)],
      sha: fingerprint,
      cnf: { "x5rt#S256": confirmed },
    })
      .setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, typ: "JWT" })
      .setIssuer(provisioner)
      .setAudience(`${url}/1.0/sign`)
      .setSubject(subject)
      .setJti(base32(random.bytes(16)))
      .setIssuedAt(seconds)
      .setNotBefore(seconds)
      .setExpirationTime(seconds + tokenLifeSeconds)
      .sign(jwk.key);
  }

  async #provisionerKey(): Promise<{
    readonly key: CryptoKey | Uint8Array;
    readonly alg: string;
    readonly kid: string;
  }> {
    const { key, password, provisioner } = this.#options;
    try {
      const text = (await key()).trim();
      const plain = text.startsWith("{") ? text : await decrypted(text, await password?.());
      const jwk = jwkShape.parse(JSON.parse(plain));
      const alg = algorithms[jwk.crv ?? ""] ?? "RS256";
      return { key: await importJWK(jwk as JWK, alg), alg, kid: jwk.kid };
    } catch (cause) {
      // The cause of a key that cannot be read may quote it.
      const reason =
        cause instanceof z.ZodError || cause instanceof SyntaxError
          ? "is no private JWK with kty, kid and d"
          : reasonOf(cause);
      throw new IssuerError(
        "UPSTREAM_REFUSED",
        `the key of step-ca's provisioner ${provisioner} cannot be used: ${reason}`,
      );
    }
  }
}

async function decrypted(jwe: string, password: string | undefined): Promise<string> {
  if (password === undefined)
    throw new IssuerError("UPSTREAM_REFUSED", "it is encrypted; set upstream.password");
  const { plaintext } = await compactDecrypt(jwe, Buffer.from(password, "utf8"), {
    keyManagementAlgorithms: ["PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"],
    maxPBES2Count: mostRounds,
  });
  return Buffer.from(plaintext).toString("utf8");
}
