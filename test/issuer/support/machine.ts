import { generateKeyPairSync } from "node:crypto";
import { type EnvelopeSigner, sealEnvelope } from "../../../src/core/envelope/envelope.ts";
import type { Payloads } from "../../../src/core/envelope/kinds.ts";
import { certificateSigner } from "../../../src/core/envelope/signers.ts";
import {
  type CertificateText,
  fingerprintOf,
  parseCertificateText,
} from "../../../src/issuer/certificate-text.ts";
import type { X509PopSettings } from "../../../src/issuer/nodes/x509pop.ts";
import type { AttestorSettings } from "../../../src/issuer/options.ts";
import {
  commonName,
  makeAuthority,
  makeKey,
  makeLeaf,
  type SvidBend,
  type WorldAuthority,
  type WorldKey,
} from "../../support/ca-world.ts";
import { type Answer, csrOf, verdictOf } from "../../support/simulation-asker.ts";
import { keyPair } from "../../support/simulation-keys.ts";
import { type Office, openOffice } from "./office.ts";

/** A machine that the operator's CA gave a certificate. */
export interface Machine {
  readonly key: WorldKey;
  readonly leaf: Uint8Array;
  /** Behind the leaf. */
  readonly intermediates: readonly Uint8Array[];
}

/** @throws RangeError when it is no such text */
export function textOf(text: string): CertificateText {
  const parsed = parseCertificateText(text);
  if (parsed === undefined) throw new RangeError(text);
  return parsed;
}

/** An office that lets machines in by certificates of this CA, named by their common names. */
export async function machineOffice(
  ca: WorldAuthority,
  more: Partial<X509PopSettings> & { readonly joinToken?: boolean } = {},
): Promise<Office> {
  const { joinToken = true, ...settings } = more;
  const attestors: AttestorSettings = {
    joinToken,
    x509pop: {
      authorities: [ca.der],
      name: textOf("{cn}"),
      labels: {},
      deniedSerials: [],
      ...settings,
    },
  };
  return await openOffice({}, { attestors });
}

export function operatorCa(): WorldAuthority {
  return makeAuthority({ trustDomain: "corp.example" });
}

/** A machine with a certificate as the operator's CA gives them; bent as told. */
export function machine(ca: WorldAuthority, name: string, bend: SvidBend = {}): Machine {
  const key = bend.key ?? makeKey();
  const leaf = makeLeaf(ca, {
    subject: commonName(name),
    uris: [],
    dnsNames: [`${name}.corp`],
    ...bend,
    key,
  });
  return { key, leaf, intermediates: [] };
}

/** What of a request is bent. */
export interface MachineBend {
  readonly payload?: Partial<Payloads["x509pop-enrol-request"]>;
  readonly signer?: Partial<EnvelopeSigner>;
  /** The node key that is to be certified. */
  readonly nodeKey?: ReturnType<typeof keyPair>;
}

/** An enrol-request of this machine. */
export async function machineRequest(
  office: Office,
  { key, leaf, intermediates }: Machine,
  bend: MachineBend = {},
): Promise<Uint8Array> {
  const sealing = generateKeyPairSync("x25519").publicKey;
  const signer = certificateSigner(key.privateKey, [leaf, ...intermediates]);
  const payload: Payloads["x509pop-enrol-request"] = {
    td: office.domain.trustDomain,
    at: office.clock.now(),
    certificate: fingerprintOf(leaf),
    pin: office.domain.pin,
    nonce: "nonce",
    csr: await csrOf(bend.nodeKey ?? keyPair()),
    sealingKey: sealing.export({ format: "der", type: "spki" }).toString("base64"),
    ...bend.payload,
  };
  const sealed = await sealEnvelope("x509pop-enrol-request", payload, {
    ...signer,
    ...bend.signer,
  });
  return sealed.bytes;
}

/** The issuer's answer to these bytes. */
export async function enrolAnswer(office: Office, bytes: Uint8Array): Promise<Answer> {
  return office.stranger("anybody").open(await office.host.issuer.reception.enrol(bytes));
}

/** What the issuer says to this machine; `silence` where it says nothing. */
export async function enrolMachine(
  office: Office,
  one: Machine,
  bend: MachineBend = {},
): Promise<string> {
  const bytes = await machineRequest(office, one, bend);
  return await enrolAnswer(office, bytes).then(verdictOf, () => "silence");
}
