import { expect } from "vitest";
import { parseBundle } from "../../../src/core/bundle/document.ts";
import { bundleKey } from "../../../src/core/envelope/object-keys.ts";
import type {
  Ack,
  AuthorityStatus,
  AuthorityUse,
  BundleState,
  ConsumerReport,
} from "../../../src/core/envelope/payloads.ts";
import type { Version } from "../../../src/core/envelope/version.ts";
import type { Waiting } from "../../../src/issuer/authorities/gate.ts";
import type { Asker } from "../../support/simulation-asker.ts";
import { payloadOf } from "../../support/simulation-audit.ts";
import { quiet } from "../../support/simulation-quiet.ts";
import type { Office } from "./office.ts";

export const hourMs = 3_600_000;

interface Published {
  readonly version: Version;
  readonly sequence: bigint;
  readonly active: string;
  readonly tainted: readonly string[];
  readonly roots: number;
}

/** The bundle as nodes read it. */
export async function published({ host, domain }: Office): Promise<Published> {
  const { trustDomain } = domain;
  const bytes = await host.bus.node("eyes").read(bundleKey(trustDomain));
  const { version, document, activeAuthority, taintedAuthorities } = payloadOf<BundleState>(
    bytes ?? new Uint8Array(),
  );
  const bundle = parseBundle(trustDomain, document);
  const { epoch, term, seq } = version;
  return {
    version: { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) },
    sequence: bundle.sequence,
    active: activeAuthority,
    tainted: taintedAuthorities,
    roots: bundle.x509Authorities.length,
  };
}

/** What a node says that has applied the bundle, and whose only consumer is `consumer`. */
export async function tell(office: Office, node: Asker, said: Partial<Ack>): Promise<void> {
  const { version } = await published(office);
  const applied = { [bundleKey(office.domain.trustDomain)]: version };
  await node.send("ack", await node.ackRequest({ applied, ...said }));
  await quiet();
}

export function uses(office: Office, authority: string, forMs: number = hourMs): AuthorityUse {
  return { authority, svids: 1, until: office.clock.now() + forMs };
}

export function step({ host }: Office): string {
  return host.issuer.rotation.progress().step;
}

export function waiting({ host }: Office): readonly Waiting[] {
  return host.issuer.rotation.progress().waiting;
}

export function statuses({ host }: Office): readonly string[] {
  return host.issuer.authorities
    .list()
    .map(({ status }) => status)
    .toSorted();
}

/** The only authority in a status. */
export function theOnly({ host }: Office, status: AuthorityStatus): string {
  const found = host.issuer.authorities.list().filter((one) => one.status === status);
  expect(found.length).toBe(1);
  return found[0]?.authority ?? "";
}

/** Says of every authority what became of it, as the audit chain has it. */
export function recorded({ host }: Office): readonly string[] {
  return host.audit.records.flatMap(({ payload: { action } }) =>
    action.kind === "authority" ? [`${action.status}: ${action.by}`] : [],
  );
}

/** A consumer that holds an SVID for an hour and has accepted the bundle of this sequence. */
export function envoyAt(office: Office, sent: bigint, acknowledged: bigint): ConsumerReport {
  const { trustDomain } = office.domain;
  return {
    id: "sds-1-1",
    kind: "sds",
    connected: true,
    sent: { [trustDomain]: sent },
    acknowledged: { [trustDomain]: acknowledged },
    flushedAt: 0,
    heldUntil: office.clock.now() + hourMs,
    refusal: null,
  };
}
