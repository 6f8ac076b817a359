import type { AuthorityState } from "../../../src/core/envelope/authority-payloads.ts";
import { bundleKey, revocationsKey } from "../../../src/core/envelope/object-keys.ts";
import type { BundleState, RevocationsState } from "../../../src/core/envelope/payloads.ts";
import { compareVersions, type Version } from "../../../src/core/envelope/version.ts";
import type { Entry } from "../../../src/core/policy/entry.ts";
import { parseCertificate } from "../../../src/core/x509/certificate.ts";
import { type Crl, parseCrl, verifyCrl } from "../../../src/core/x509/crl-reader.ts";
import type { SvidTarget } from "../../../src/issuer/revocation/revoke-orders.ts";
import type { RevokeAnswer } from "../../../src/issuer/revocation/svids.ts";
import { type Asker, signItem } from "../../support/simulation-asker.ts";
import { payloadOf } from "../../support/simulation-audit.ts";
import { type Office, operator } from "./office.ts";

/** The revocations as nodes read them, each CRL proven by the authority that it names. */
export async function publishedCrls(office: Office): Promise<ReadonlyMap<string, Crl>> {
  const { crls } = await revocations(office);
  const read = crls.map((crl) => parseCrl(Buffer.from(crl, "base64")));
  const byAuthority = read.map((crl) => {
    const authority = authorityOf(office, crl);
    verifyCrl(crl, parseCertificate(Buffer.from(authority.certificate, "base64")));
    return [authority.authority, crl] as const;
  });
  return new Map(byAuthority);
}

/** Serials in any published CRL, sorted. */
export async function refusedSerials(office: Office): Promise<readonly string[]> {
  const crls = [...(await publishedCrls(office)).values()];
  return crls.flatMap(({ revoked }) => revoked.map(({ serial }) => serial)).toSorted();
}

/** Does the bundle that nodes read come with revocations that are there? */
export async function bundleIsCovered(office: Office): Promise<boolean> {
  const { trustDomain } = office.domain;
  const bytes = await office.host.bus.node("eyes").read(bundleKey(trustDomain));
  const needed = payloadOf<BundleState>(bytes ?? new Uint8Array()).revocations;
  const { version } = await revocations(office);
  return compareVersions(parsed(version), parsed(needed)) >= 0;
}

export async function revocations(office: Office): Promise<RevocationsState> {
  const key = revocationsKey(office.domain.trustDomain);
  const bytes = await office.host.bus.node("eyes").read(key);
  return payloadOf<RevocationsState>(bytes ?? new Uint8Array());
}

/** Has `node` so many SVIDs signed for the entry; their serials. */
export async function issued(node: Asker, entry: Entry, count = 1): Promise<readonly string[]> {
  const items = await Promise.all(Array.from({ length: count }, () => signItem(entry)));
  const answer = await node.send("sign-request", await node.signRequest(items));
  if (answer.kind !== "sign-reply") throw new Error(`not signed: ${answer.kind}`);
  return answer.payload.results.map((result) => {
    if (!result.ok) throw new Error(result.reason);
    return parseCertificate(Buffer.from(result.chain[0] ?? "", "base64")).serial;
  });
}

/** An operator's `herald svid revoke`. */
export async function revoke({ host }: Office, target: SvidTarget): Promise<RevokeAnswer> {
  return await host.issuer.svids.revoke({ target, reason: "keyCompromise", by: operator });
}

export function bySerial(serial: string): SvidTarget {
  return { kind: "serial", serial };
}

function authorityOf({ host }: Office, crl: Crl): AuthorityState {
  const found = host.issuer.authorities
    .list()
    .find(
      ({ certificate }) =>
        parseCertificate(Buffer.from(certificate, "base64")).subjectKeyId === crl.authorityKeyId,
    );
  if (found === undefined) throw new Error("a CRL of nobody");
  return found;
}

/** Unproven payloads hold 64-bit integers as text. */
function parsed({ epoch, term, seq }: Version): Version {
  return { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) };
}

/** Everything that nodes and issuers read, as it is now. */
export async function store({ host }: Office): Promise<ReadonlyMap<string, Uint8Array>> {
  return await host.bus.issuer("eyes").loadAll();
}
