import type { X509Svid } from "../core/svid/workload-view.ts";
import { certificatesToPem, crlsToPem, toPem } from "../core/x509/pem.ts";
import type { DataSource } from "../wire/envoy/config/core/v3/base.ts";
import type { CertificateValidationContext } from "../wire/envoy/extensions/transport_sockets/tls/v3/common.ts";
import { Secret } from "../wire/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { SPIFFECertValidatorConfig } from "../wire/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts";
import { DiscoveryResponse } from "../wire/envoy/service/discovery/v3/discovery.ts";
import type { Validator } from "./envoy-node.ts";
import type { PushedSecret } from "./ports.ts";

/** The only type this service carries (XDS-04). */
export const secretTypeUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

const spiffeValidatorTypeUrl =
  "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/** A secret in bytes, made once and shared by every stream that sends it. */
export interface EncodedSecret extends PushedSecret {
  /** A DiscoveryResponse with only this resource in it: protobuf messages join by concatenation. Holds a key: never logged. */
  readonly resource: Buffer;
}

/** One response of a stream. */
export interface SecretResponse {
  readonly version: string;
  readonly nonce: string;
  readonly secrets: readonly EncodedSecret[];
}

/** The response in bytes; the secrets are copied, not encoded again. */
export function encodeResponse(response: SecretResponse): Buffer {
  const frame = DiscoveryResponse.encode({
    versionInfo: response.version,
    resources: [],
    typeUrl: secretTypeUrl,
    nonce: response.nonce,
    controlPlane: undefined,
  }).finish();
  return Buffer.concat([frame, ...response.secrets.map((secret) => secret.resource)]);
}

/** Secret bytes as a mergeable part of a response. */
export function encodeResource(secret: Uint8Array): Buffer {
  const part = DiscoveryResponse.encode({
    versionInfo: "",
    resources: [{ typeUrl: secretTypeUrl, value: Buffer.from(secret) }],
    typeUrl: "",
    nonce: "",
    controlPlane: undefined,
  });
  return Buffer.from(part.finish());
}

/** Key and chain in one Secret (SDS-02): one PEM block per certificate, leaf first, or Envoy refuses the chain (EF-41). */
export function encodeSvid(name: string, svid: X509Svid): Uint8Array {
  return Secret.encode({
    name,
    type: {
      $case: "tlsCertificate",
      value: {
        certificateChain: inline(certificatesToPem(svid.chain)),
        privateKey: inline(toPem("PRIVATE KEY", svid.privateKey)),
      },
    },
  }).finish();
}

/** A trust domain, the DER of what its peers' chains must end in, and that of the CRLs by which some of them are refused. */
export interface TrustedDomain {
  readonly trustDomain: string;
  readonly x509Authorities: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
}

/** Trust in these domains and nothing else: no SAN matchers (SDS-10), never both forms (SDS-03). */
export function encodeTrust(
  name: string,
  domains: readonly TrustedDomain[],
  validator: Validator,
): Uint8Array {
  const context = validator === "spiffe" ? spiffeContext(domains) : flatContext(domains);
  return Secret.encode({ name, type: { $case: "validationContext", value: context } }).finish();
}

function spiffeContext(domains: readonly TrustedDomain[]): CertificateValidationContext {
  const config = SPIFFECertValidatorConfig.encode({
    trustDomains: domains.map((domain) => ({
      name: domain.trustDomain,
      // EF-20: the SPIFFE validator ignores the context's own `crl`, and takes CRLs out of the bundle.
      trustBundle: inline(certificatesToPem(domain.x509Authorities) + crlsToPem(domain.crls)),
    })),
  }).finish();
  return {
    ...noContext,
    customValidatorConfig: {
      name: "envoy.tls.cert_validator.spiffe",
      typedConfig: { typeUrl: spiffeValidatorTypeUrl, value: Buffer.from(config) },
    },
  };
}

function flatContext(domains: readonly TrustedDomain[]): CertificateValidationContext {
  const authorities = domains.flatMap((domain) => domain.x509Authorities);
  const crls = domains.flatMap((domain) => domain.crls);
  return {
    ...noContext,
    trustedCa: inline(certificatesToPem(authorities)),
    crl: crls.length === 0 ? undefined : inline(crlsToPem(crls)),
  };
}

const noContext: CertificateValidationContext = {
  trustedCa: undefined,
  matchTypedSubjectAltNames: [],
  crl: undefined,
  customValidatorConfig: undefined,
};

function inline(text: string): DataSource {
  return { specifier: { $case: "inlineBytes", value: Buffer.from(text, "latin1") } };
}
