import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import { X509CertificateGenerator } from "@peculiar/x509";
import type { HttpTls } from "../../../src/rpc/http.ts";

/** A certificate that nobody vouches for, for a name that is nobody's. */
export async function selfSigned(): Promise<HttpTls> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=nobody",
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    cert: certificate.toString("pem"),
    key: createPrivateKey({ key, format: "der", type: "pkcs8" })
      .export({ format: "pem", type: "pkcs8" })
      .toString(),
  };
}
