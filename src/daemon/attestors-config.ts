import { createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { parseCertificate } from "../core/x509/certificate.ts";
import { parsePem } from "../core/x509/pem.ts";
import { certificateProof, type EnrolmentProof } from "../identity/enrolment-proof.ts";
import {
  type CertificateText,
  parseCertificateText,
  variablesOf,
} from "../issuer/certificate-text.ts";
import type { AttestorSettings } from "../issuer/options.ts";
import { reasonOf } from "../kit/errors.ts";
import { ConfigError } from "./config-error.ts";
import { field, list, path, section } from "./config-fields.ts";

/** How machines prove which node they are: `attestors` of an issuer, `attestor` of a node (docs/operations.md, "Attestors"). */
export interface AttestorsConfig {
  readonly joinToken: boolean;
  readonly x509pop:
    | {
        /** PEM of the operator's CAs. */
        readonly caFile: string;
        readonly name: CertificateText;
        readonly labels: Readonly<Record<string, CertificateText>>;
        /** Lower-case hex, as the certificates have them. */
        readonly denySerials: readonly string[];
      }
    | undefined;
}

/** A node's certificate of the operator's CA, its key, and the control root that it is to trust. */
export interface X509PopConfig {
  /** PEM, leaf first. */
  readonly certFile: string;
  /** PEM, PKCS#8, SEC 1 or PKCS#1. */
  readonly keyFile: string;
  /** SHA-256 of the control root's public key, lower-case hex; `herald init` prints it. */
  readonly pin: string;
}

/** The section `attestors` as its file has it. */
interface AttestorsSection {
  readonly join_token: { readonly enabled: boolean };
  readonly x509pop?: NonNullable<AttestorsConfig["x509pop"]> | undefined;
}

/** The section `attestor` as its file has it. */
interface AttestorSection {
  readonly x509pop: X509PopConfig;
}

const filled = field(
  "text with {cn}, {dns}, {serial}, {fingerprint} or {uri:PREFIX} in it",
  parseCertificateText,
);

const nodeName = filled.refine((text) => variablesOf(text) === 1, {
  error:
    "must have exactly one part in braces: two would make one name of two certificates; write, for instance, {cn}",
});

const serial = field("a serial in hex, such as 4a:01:ff", (text) => {
  const hex = text
    .replaceAll(":", "")
    .toLowerCase()
    .replace(/^(00)+(?=..)/, "");
  return /^([0-9a-f]{2}){1,20}$/.test(hex) ? hex : undefined;
});

/** The section `attestors` of an issuer; absent: join tokens alone. */
export const attestorsSection: z.ZodType<AttestorsSection> = section({
  join_token: section({
    enabled: z.boolean({ error: "must be true or false" }).default(true),
  }).prefault({}),
  x509pop: section({
    caFile: path,
    name: nodeName.prefault("{fingerprint}"),
    labels: z.record(z.string(), filled).default({}),
    denySerials: list(serial, '["4a01ff"]').default([]),
  }).optional(),
}).prefault({});

/** The section `attestor` of a node; absent: a join string. */
export const attestorSection: z.ZodType<AttestorSection | undefined> = section({
  x509pop: section({
    certFile: path,
    keyFile: path,
    pin: field("the control root's pin, 64 lower-case hex digits", (text) =>
      /^[0-9a-f]{64}$/.test(text) ? text : undefined,
    ),
  }),
}).optional();

/** The section as the daemon uses it. */
export function attestorsConfig(
  file: AttestorsSection,
  at: (path: string) => string,
): AttestorsConfig {
  const { join_token, x509pop } = file;
  return {
    joinToken: join_token.enabled,
    x509pop: x509pop === undefined ? undefined : { ...x509pop, caFile: at(x509pop.caFile) },
  };
}

/** The section as the daemon uses it. */
export function attestorConfig(
  file: AttestorSection | undefined,
  at: (path: string) => string,
): X509PopConfig | undefined {
  if (file === undefined) return undefined;
  const { certFile, keyFile, pin } = file.x509pop;
  return { certFile: at(certFile), keyFile: at(keyFile), pin };
}

/** Reads what the section names. @throws ConfigError naming the file */
export async function loadAttestors(config: AttestorsConfig): Promise<AttestorSettings> {
  const { joinToken, x509pop } = config;
  if (x509pop === undefined) return { joinToken, x509pop };
  const { caFile, name, labels, denySerials } = x509pop;
  const authorities = await certificatesOf(caFile, "attestors.x509pop.caFile");
  return { joinToken, x509pop: { authorities, name, labels, deniedSerials: denySerials } };
}

/** A machine's proof by its certificate, read anew each time: the operator's CA renews it. @throws ConfigError naming the file */
export async function certificateProofOf(config: X509PopConfig): Promise<EnrolmentProof> {
  const { certFile, keyFile, pin } = config;
  const [leaf, ...intermediates] = await certificatesOf(certFile, "attestor.x509pop.certFile");
  if (leaf === undefined) throw unusable(certFile, "holds no certificate");
  try {
    const privateKey = createPrivateKey(await readFile(keyFile));
    return certificateProof({ pin, privateKey, leaf, intermediates });
  } catch (cause) {
    throw unusable(
      keyFile,
      `cannot be used as attestor.x509pop.keyFile (${reasonOf(cause)})`,
      cause,
    );
  }
}

async function certificatesOf(file: string, key: string): Promise<readonly Uint8Array[]> {
  try {
    const certificates = parsePem("CERTIFICATE", await readFile(file, "utf8"));
    certificates.forEach(parseCertificate);
    return certificates;
  } catch (cause) {
    throw unusable(file, `cannot be used as ${key} (${reasonOf(cause)})`, cause);
  }
}

function unusable(file: string, what: string, cause?: unknown): ConfigError {
  return new ConfigError(
    "CONFIG_INVALID",
    { path: file, problems: [] },
    { cause, message: `${file} ${what}; give a readable PEM file` },
  );
}
