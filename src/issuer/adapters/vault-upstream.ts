import { z } from "zod";
import { type TrustDomain, trustDomainId } from "../../core/spiffe/spiffe-id.ts";
import { authorityCsr } from "../../core/x509/authority-csr.ts";
import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import { toPem } from "../../core/x509/pem.ts";
import { IssuerError } from "../error.ts";
import type {
  AuthorityRequest,
  CertifiedAuthority,
  UpstreamAuthority,
  UpstreamTrust,
} from "../ports.ts";
import { askUpstream, certificatesOf } from "./upstream-https.ts";

export interface VaultOptions {
  /** Without a trailing slash. */
  readonly url: string;
  /** Of the PKI secrets engine, such as `pki`. */
  readonly mount: string;
  /** Name or id of one of its issuers; `default`. */
  readonly issuer: string;
  readonly namespace: string | undefined;
  /** Asked for each time, never kept: an agent may renew it. */
  readonly token: () => Promise<string>;
  /** Roots for the server's TLS, PEM; undefined: the system's. */
  readonly ca: readonly string[] | undefined;
  /** Roots for verifiers, PEM, where the engine does not know them. */
  readonly trustAnchors: (() => Promise<string>) | undefined;
  readonly trustDomain: TrustDomain;
}

const issuerAnswer = z.object({
  data: z.object({ certificate: z.string(), ca_chain: z.array(z.string()).nullish() }),
});
const signAnswer = z.object({
  data: z.object({
    certificate: z.string(),
    issuing_ca: z.string(),
    ca_chain: z.array(z.string()).nullish(),
  }),
});

/** A PKI secrets engine of Vault, or of OpenBao, whose API is the same: authorities are certified by sign-intermediate. */
export class VaultUpstream implements UpstreamAuthority {
  readonly #options: VaultOptions;

  constructor(options: VaultOptions) {
    this.#options = options;
  }

  /** @throws IssuerError UPSTREAM_AWAY, UPSTREAM_REFUSED */
  async certify(request: AuthorityRequest): Promise<CertifiedAuthority> {
    const { trustDomain, ca, token } = this.#options;
    const { chain, anchors } = await this.#issuer();
    const ends = [...chain, ...anchors].map(({ notAfter }) => notAfter);
    const notAfter = Math.min(request.notAfter, ...ends);
    const commonName = `Herald ${request.authority}`;
    const csr = await authorityCsr({ signer: await request.key(), trustDomain, commonName });
    const { data } = await askUpstream({
      method: "POST",
      url: this.#url("sign-intermediate"),
      headers: { ...this.#headers(), "x-vault-token": await token() },
      body: {
        csr: toPem("CERTIFICATE REQUEST", csr),
        common_name: commonName,
        exclude_cn_from_sans: true,
        uri_sans: trustDomainId(trustDomain),
        ttl: `${Math.max(1, Math.floor((notAfter - request.now) / 1000))}s`,
        format: "pem",
      },
      trust: ca,
      shape: signAnswer,
    });
    const [certificate] = certificatesOf(data.certificate);
    if (certificate === undefined)
      throw new IssuerError("UPSTREAM_REFUSED", "Vault signed nothing");
    const above = [data.issuing_ca, ...(data.ca_chain ?? [])]
      .flatMap(certificatesOf)
      .map(parseCertificate)
      .filter((one) => !isRoot(one));
    return {
      certificate,
      above: distinct(above).map(({ der }) => der),
      anchors: anchors.map(({ der }) => der),
    };
  }

  /** @throws IssuerError UPSTREAM_AWAY, UPSTREAM_REFUSED */
  async trust(): Promise<UpstreamTrust> {
    const { chain, anchors } = await this.#issuer();
    return { issuer: chain[0]?.der, anchors: anchors.map(({ der }) => der) };
  }

  /** Vault tells nobody of its changes; they are found by asking. */
  watch(): () => void {
    return () => undefined;
  }

  /** The issuer's certificate with all above it, and the roots. */
  async #issuer(): Promise<{
    readonly chain: readonly Certificate[];
    readonly anchors: readonly Certificate[];
  }> {
    const { ca, trustAnchors, mount, issuer } = this.#options;
    const { data } = await askUpstream({
      method: "GET",
      url: this.#url("json"),
      headers: this.#headers(),
      trust: ca,
      shape: issuerAnswer,
    });
    const chain = distinct(
      [data.certificate, ...(data.ca_chain ?? [])].flatMap(certificatesOf).map(parseCertificate),
    );
    const anchors =
      trustAnchors === undefined
        ? chain.filter(isRoot)
        : certificatesOf(await trustAnchors()).map(parseCertificate);
    if (anchors.length === 0)
      throw new IssuerError(
        "UPSTREAM_REFUSED",
        `Vault's issuer ${issuer} of ${mount} is an intermediate, and its chain holds no root; import the root into the mount, or name a file with it in upstream.trustAnchors`,
      );
    return { chain, anchors };
  }

  #url(action: string): string {
    const { url, mount, issuer } = this.#options;
    return `${url}/v1/${mount}/issuer/${encodeURIComponent(issuer)}/${action}`;
  }

  #headers(): Readonly<Record<string, string>> {
    const { namespace } = this.#options;
    // Vault's own clients send it: a proxy that forwards other people's forms must not.
    const asked = { "x-vault-request": "true" };
    return namespace === undefined ? asked : { ...asked, "x-vault-namespace": namespace };
  }
}

function isRoot({ subject, issuer }: Certificate): boolean {
  return Buffer.from(subject).equals(issuer);
}

function distinct(certificates: readonly Certificate[]): readonly Certificate[] {
  return [
    ...new Map(certificates.map((one) => [Buffer.from(one.der).toString("base64"), one])).values(),
  ];
}
