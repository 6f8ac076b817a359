import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { parseSpiffeId, trustDomainOf } from "../../src/core/spiffe/spiffe-id.ts";
import { createIntermediate } from "../../src/core/x509/authority.ts";
import { signerOfKey } from "../../src/core/x509/certificate-signer.ts";
import { readCsr } from "../../src/core/x509/csr.ts";
import { toPem } from "../../src/core/x509/pem.ts";
import { makeTlsIdentity } from "../../src/daemon/tls-endpoint.ts";
import { nextSerial, type WorldAuthority } from "./ca-world.ts";
import { pemOf } from "./upstream-world.ts";

/** What of `sign-intermediate` Herald uses, by Vault's documentation of its API; anything else is refused here. */
const signRequest = z.strictObject({
  csr: z.string(),
  common_name: z.string().min(1),
  exclude_cn_from_sans: z.boolean(),
  uri_sans: z.string(),
  ttl: z.string().regex(/^\d+s$/),
  format: z.literal("pem"),
});

interface Engine {
  readonly issuer: WorldAuthority;
  /** What it knows above that. */
  readonly chain: readonly WorldAuthority[];
  readonly mount: string;
  readonly namespace: string | undefined;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

const denied: Reply = { status: 403, body: { errors: ["permission denied"] } };

/** Speaks the part of Vault's HTTP API that a PKI engine's clients use to have intermediates signed. */
export class VaultServer {
  readonly token = "hvs.test-token";
  readonly caPem: string;
  /** Every token that came, with or without right. */
  readonly tokens: string[] = [];
  /** Answers everything with this instead. */
  instead: Reply | undefined;
  readonly #server: ReturnType<typeof createServer>;
  readonly #pki: Engine;

  private constructor(pki: Engine, tls: { readonly cert: string; readonly key: string }) {
    this.#pki = pki;
    this.caPem = tls.cert;
    this.#server = createServer(tls, (request, response) => {
      this.#answer(request).then(
        ({ status, body }) => {
          response.writeHead(status, { "content-type": "application/json" });
          response.end(typeof body === "string" ? body : JSON.stringify(body));
        },
        (thrown: unknown) => {
          response.writeHead(400);
          response.end(JSON.stringify({ errors: [String(thrown)] }));
        },
      );
    });
  }

  static async start(
    pki: Pick<Engine, "issuer" | "chain"> & {
      readonly mount?: string;
      readonly namespace?: string;
    },
  ): Promise<VaultServer> {
    const { certificatePem: cert, keyPem: key } = await makeTlsIdentity("127.0.0.1");
    const { mount = "pki", namespace } = pki;
    const server = new VaultServer({ ...pki, mount, namespace }, { cert, key });
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage): Promise<Reply> {
    const token = request.headers["x-vault-token"];
    if (typeof token === "string") this.tokens.push(token);
    if (this.instead !== undefined) return this.instead;
    const { mount, namespace } = this.#pki;
    if (request.headers["x-vault-namespace"] !== namespace) return denied;
    const base = `/v1/${mount}/issuer/default`;
    if (request.method === "GET" && request.url === `${base}/json`) return this.#issuer();
    if (request.method === "POST" && request.url === `${base}/sign-intermediate`)
      return token === this.token ? await this.#sign(await bodyOf(request)) : denied;
    return { status: 404, body: { errors: [] } };
  }

  #issuer(): Reply {
    const { issuer, chain } = this.#pki;
    const ca_chain = [issuer, ...chain].map((one) => pemOf(one));
    return {
      status: 200,
      body: { data: { certificate: pemOf(issuer), ca_chain, revocation_time: 0 } },
    };
  }

  async #sign(body: string): Promise<Reply> {
    const asked = signRequest.parse(JSON.parse(body));
    const { issuer, chain } = this.#pki;
    const base64 = asked.csr.replaceAll(/-----[A-Z ]+-----|\s/g, "");
    const { spki } = readCsr(Buffer.from(base64, "base64"));
    const now = Date.now();
    const notAfter = now + Number(asked.ttl.slice(0, -1)) * 1000;
    if (notAfter > issuer.certificate.notAfter)
      return {
        status: 400,
        body: {
          errors: [
            "cannot satisfy request, as TTL would result in notAfter that is beyond the expiration of the CA certificate",
          ],
        },
      };
    const certificate = await createIntermediate(
      {
        signer: {
          spki,
          algorithm: "ecdsa-p256-sha256",
          sign: () => Promise.reject(new Error("has no key")),
        },
        trustDomain: trustDomainOf(parseSpiffeId(asked.uri_sans)),
        serial: nextSerial(),
        commonName: asked.common_name,
        notBefore: now - 30_000,
        notAfter,
      },
      { certificate: issuer.certificate, signer: signerOfKey(issuer.key.privateKey) },
    );
    return {
      status: 200,
      body: {
        data: {
          certificate: toPem("CERTIFICATE", certificate).trim(),
          issuing_ca: pemOf(issuer).trim(),
          ca_chain: [issuer, ...chain].map((one) => pemOf(one).trim()),
          serial_number: "00:01",
        },
      },
    };
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request.setEncoding("utf8")) text += String(part);
  return text;
}
