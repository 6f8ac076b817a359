import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { parseSpiffeId, trustDomainOf } from "../src/core/spiffe/spiffe-id.ts";
import { createAuthority } from "../src/core/x509/authority.ts";
import { parseCertificate } from "../src/core/x509/certificate.ts";
import { exportPrivateKey, nodeKeyMaker } from "../src/core/x509/key-pair.ts";
import { toPem } from "../src/core/x509/pem.ts";
import { keyObjectSigner } from "../src/core/x509/signer.ts";
import { svidTemplate } from "../src/core/x509/svid-template.ts";

/** A certificate with its key, PEM. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

/** What became of a call to a server's Envoy. */
export type Reception =
  | { readonly answered: true; readonly text: string }
  | { readonly answered: false; readonly reason: string };

const hourMs = 3_600_000;

/** An SVID with this SPIFFE ID, signed by an authority that nobody knows: made here, of the same form as the true ones. */
export async function forgeSvid(id: string): Promise<Credentials> {
  const spiffeId = parseSpiffeId(id);
  const times = { notBefore: Date.now() - 60_000, notAfter: Date.now() + hourMs };
  const authorityKey = await nodeKeyMaker.p256();
  const signer = keyObjectSigner(authorityKey.privateKey);
  const authority = parseCertificate(
    await createAuthority({
      signer,
      serial: serial(),
      trustDomain: trustDomainOf(spiffeId),
      ...times,
    }),
  );
  const template = svidTemplate(authority);
  const pair = await nodeKeyMaker.p256();
  const toBeSigned = template.toBeSigned({
    serial: serial(),
    spki: pair.spki,
    id: spiffeId,
    dnsNames: [],
    ...times,
  });
  const leaf = template.assemble(toBeSigned, await signer.sign(toBeSigned));
  return {
    cert: toPem("CERTIFICATE", leaf),
    key: toPem("PRIVATE KEY", exportPrivateKey(pair.privateKey)),
  };
}

/** Calls a server's Envoy directly, with these credentials or none. */
export async function knock(port: number, credentials?: Credentials): Promise<Reception> {
  const socket = open(port, credentials);
  let text = "";
  try {
    await once(socket, "secureConnect");
    socket.write("GET / HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n");
    for await (const chunk of socket) text += String(chunk);
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
    return { answered: false, reason: alerts.get(code) ?? (code || String(thrown)) };
  } finally {
    socket.destroy();
  }
  return text === ""
    ? { answered: false, reason: "closed without an answer" }
    : { answered: true, text };
}

/** The key id, lower-case hex, of the authority that signed what a server's Envoy shows. */
export async function servingAuthority(port: number): Promise<string> {
  const socket = open(port);
  // The refusal of a client without a certificate may come at once; the server's certificate came before it.
  socket.on("error", () => undefined);
  try {
    await once(socket, "secureConnect");
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new Error(`no certificate at port ${port}`);
    return parseCertificate(certificate.raw).authorityKeyId ?? "";
  } finally {
    socket.destroy();
  }
}

function open(port: number, credentials?: Credentials): TLSSocket {
  return connect({
    host: "127.0.0.1",
    port,
    rejectUnauthorized: false,
    timeout: 5000,
    ...credentials,
  });
}

/** TLS alerts in words. */
const alerts: ReadonlyMap<string, string> = new Map([
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate required"],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "unknown CA"],
  ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN", "certificate not accepted"],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN", "certificate not accepted"],
  ["ECONNRESET", "connection reset"],
]);

/** 16 bytes, positive. */
function serial(): Uint8Array {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes;
}
