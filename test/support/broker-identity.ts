import "reflect-metadata";
import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { X509CertificateGenerator } from "@peculiar/x509";
import { pinOf } from "../../src/events/adapters/broker-trust.ts";

/** A broker's key and self-signed certificate, as files and as the pin that clients know it by. */
export interface BrokerIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly pin: string;
}

/** A fresh one. */
export async function makeBrokerIdentity(): Promise<BrokerIdentity> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const now = Date.now();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString("hex"),
    name: "CN=herald test broker",
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 86_400_000),
    signingAlgorithm: algorithm,
    keys,
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const certificatePem = certificate.toString("pem");
  return {
    certificatePem,
    keyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
    pin: pinOf(new X509Certificate(certificatePem)),
  };
}
