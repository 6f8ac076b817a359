import { generateKeyPairSync } from "node:crypto";
import { keyIdOf } from "../core/envelope/pae.ts";
import { selfSignedTlsCertificate } from "../core/x509/authority.ts";
import { toPem } from "../core/x509/pem.ts";
import { keyObjectSigner } from "../core/x509/signer.ts";
import { systemClock } from "../kit/clock.ts";
import { systemRandom } from "../kit/random.ts";

/** A self-signed TLS identity: trusted by the pin of its key, or not relied on at all. */
export interface TlsIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** SHA-256 of the public key's SubjectPublicKeyInfo, hex. */
  readonly pin: string;
}

/** Its key is what counts; the dates only have to outlive it. */
const tenYearsMs = 10 * 365 * 24 * 3_600_000;

/** A fresh key with a certificate for a host, which may be a name or an address. */
export async function makeTlsIdentity(host: string, uri?: string): Promise<TlsIdentity> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signer = keyObjectSigner(privateKey);
  const now = systemClock.now();
  const isAddress = /^[0-9.]+$|:/.test(host);
  const serial = systemRandom.bytes(16);
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f);
  const certificate = await selfSignedTlsCertificate({
    signer,
    serial,
    dnsNames: isAddress ? ["localhost"] : [host],
    ipAddresses: isAddress ? [host] : [],
    notBefore: now - 60_000,
    notAfter: now + tenYearsMs,
    ...(uri === undefined ? {} : { uri }),
  });
  return {
    certificatePem: toPem("CERTIFICATE", certificate),
    keyPem: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    pin: keyIdOf(signer.spki),
  };
}
