import type { Found } from "../../../src/sds/secrets.ts";

/** A validation context as it went out, read by nothing of Herald's own. */
export type SentContext =
  | { readonly domains: readonly (readonly [string, string])[] }
  | { readonly trustedCa: string; readonly crl: string | undefined };

/** What a lookup would send, off the bytes; undefined when it sends nothing. */
export function contextOf(found: Found): SentContext | undefined {
  const secret = secretOf(found);
  if (secret === undefined) return undefined;
  // Secret.validation_context = 4.
  const context = must(field(secret, 4));
  // CertificateValidationContext: trusted_ca = 1, crl = 7, custom_validator_config = 12; DataSource.inline_bytes = 2.
  const [trustedCa, custom] = [field(context, 1), field(context, 12)];
  if (custom === undefined) return { trustedCa: inline(must(trustedCa)), crl: crlOf(context) };
  if (trustedCa !== undefined || field(context, 7) !== undefined)
    throw new TypeError("both forms at once");
  // TypedExtensionConfig.typed_config = 2; SPIFFECertValidatorConfig.trust_domains = 1; TrustDomain: name = 1, trust_bundle = 2.
  const config = must(field(must(field(custom, 2)), 2));
  const domains = fields(config, 1).map(
    (domain) => [must(field(domain, 1)).toString(), inline(must(field(domain, 2)))] as const,
  );
  return { domains };
}

/** The Secret's bytes: DiscoveryResponse.resources = 2, Any.value = 2. */
export function secretOf(found: Found): Buffer | undefined {
  if (found.kind !== "secret") return undefined;
  return must(field(must(field(found.secret.resource, 2)), 2));
}

function crlOf(context: Buffer): string | undefined {
  const crl = field(context, 7);
  return crl === undefined ? undefined : inline(crl);
}

function inline(source: Buffer): string {
  return must(field(source, 2)).toString("latin1");
}

function field(message: Buffer, number: number): Buffer | undefined {
  return fields(message, number)[0];
}

/** Every occurrence of a length-delimited field: the wire format of protobuf, walked by hand. */
function fields(message: Buffer, number: number): readonly Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = must(message[at]);
      at += 1;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    if (key % 8 !== 2) {
      varint();
      continue;
    }
    const length = varint();
    if (Math.floor(key / 8) === number) found.push(message.subarray(at, at + length));
    at += length;
  }
  return found;
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError("the message lacks a field");
  return value;
}
