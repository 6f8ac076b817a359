import fc from "fast-check";
import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import type { StaleCrls } from "../../../src/core/svid/crl-cover.ts";
import type { WorkloadView, X509Svid } from "../../../src/core/svid/workload-view.ts";
import { toPem } from "../../../src/core/x509/pem.ts";
import { type Found, secretCatalog } from "../../../src/sds/secrets.ts";
import { servableCheck } from "../../../src/sds/servable.ts";
import {
  hour,
  makeAuthority,
  makeBundle,
  makeLeaf,
  type WorldAuthority,
} from "../../support/ca-world.ts";
import { makeCrl } from "../../support/crl-world.ts";
import { HeldClock } from "../../support/held-clock.ts";
import { present, presentDates, presentSvid } from "../../support/trial-envoy.ts";
import { own, view } from "./views.ts";

// Dated by the real clock, so that the same contexts can be shown to a real Envoy.
const one = makeAuthority(presentDates);
const two = makeAuthority(presentDates);
const partner = makeAuthority({ ...presentDates, trustDomain: "partner.test" });
const expired = makeAuthority({ notBefore: present - 3 * hour, notAfter: present - 2 * hour });
const nobody = makeAuthority(presentDates);

/** Whom a CRL by `one` may revoke, and whom none does. */
export const revokedPeer: X509Svid = presentSvid([one], { id: "spiffe://example.org/revoked" });
export const goodPeer: X509Svid = presentSvid([one], { id: "spiffe://example.org/good" });

const dates = { thisUpdate: present - hour, nextUpdate: present + 24 * hour };
const revoked = [{ serial: revokedPeer.serial, at: present - 1000 }];
const goodOf = (by: WorldAuthority): Uint8Array =>
  makeCrl(by, { ...dates, revoked: by === one ? revoked : [] });
const [goodOne, goodTwo] = [goodOf(one), goodOf(two)];

/** The bytes with one of them changed, or without their end. */
function mangled(der: Uint8Array): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .record({ at: fc.nat(der.length - 1), by: fc.integer({ min: 1, max: 255 }) })
    .map(({ at, by }) => der.map((byte, index) => (index === at ? byte ^ by : byte)));
  const cut = fc.nat(der.length - 1).map((length) => der.subarray(0, length));
  return fc.oneof(changed, cut);
}

const known: readonly Uint8Array[] = [one.der, two.der, expired.der];

const goodCrls = fc.constantFrom(goodOne, goodTwo);
const anyCrl = fc.oneof(
  { weight: 8, arbitrary: goodCrls },
  { weight: 2, arbitrary: goodCrls.chain(mangled) },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      new Uint8Array(),
      Buffer.from("garbage"),
      Buffer.from(toPem("X509 CRL", goodOne)),
      one.der,
      Buffer.concat([goodOne, goodOne]),
      goodOf(partner),
      goodOf(nobody),
      goodOf(expired),
      makeCrl(one, { ...dates, revoked, number: 2n }),
      makeCrl(one, { ...dates, key: two.key }),
      makeCrl(one, { ...dates, issuer: two.certificate.subject }),
      makeCrl(one, { ...dates, version: null, extensions: null }),
      makeCrl(one, { ...dates, nextUpdate: null }),
      makeCrl(two, { ...dates, nextUpdate: present - 60_000 }),
      makeCrl(two, { ...dates, thisUpdate: present + hour }),
    ),
  },
);

const anyAuthority = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(one.der, two.der) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      new Uint8Array(),
      Buffer.from("garbage"),
      expired.der,
      goodOne,
      makeLeaf(one, presentDates),
      Buffer.from(toPem("CERTIFICATE", one.der)),
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom(one.der, two.der).chain(mangled) },
);

/** Whether these peers' authority is trusted as it is, and nothing that looks like it stands beside it. */
export function isClean({ authorities }: HostileTrust): boolean {
  return authorities.includes(one.der) && authorities.every((der) => known.includes(der));
}

/** A bundle and CRLs, good or bad, and how they are asked for. */
export interface HostileTrust {
  readonly authorities: readonly Uint8Array[];
  readonly partner: readonly Uint8Array[] | undefined;
  readonly crls: readonly Uint8Array[];
  readonly stale: StaleCrls;
  readonly name: "ROOTCA" | "ALL";
  readonly validator: "spiffe" | "trusted-ca";
  readonly withNobody: boolean;
}

export const hostileTrust: fc.Arbitrary<HostileTrust> = fc.record({
  authorities: fc.oneof(fc.constant([one.der, two.der]), fc.array(anyAuthority, { maxLength: 3 })),
  partner: fc.constantFrom(undefined, [], [partner.der], [Buffer.from("garbage")]),
  crls: fc.oneof(
    fc.constantFrom<readonly Uint8Array[]>([], [goodOne, goodTwo], [goodTwo, goodOne]),
    fc.array(anyCrl, { maxLength: 3 }),
    anyCrl.map((crl) => [goodOne, crl]),
  ),
  stale: fc.constantFrom("strip" as const, "refuse" as const),
  name: fc.constantFrom("ROOTCA" as const, "ALL" as const),
  validator: fc.constantFrom("spiffe" as const, "trusted-ca" as const),
  withNobody: fc.boolean(),
});

/** Nothing bad among them, and nothing missing: these must go out with their CRLs. */
export function isWhole({ authorities, crls }: HostileTrust): boolean {
  const has = (list: readonly Uint8Array[], each: readonly Uint8Array[]): boolean =>
    list.length === each.length && each.every((item) => list.includes(item));
  return has(authorities, [one.der, two.der]) && has(crls, [goodOne, goodTwo]);
}

/** What the node's SDS answers to a stream that asks. */
export function answerTo(trust: HostileTrust): Found {
  const bundles: readonly Bundle[] = [
    { ...makeBundle(own, []), x509Authorities: trust.authorities },
    ...(trust.partner === undefined
      ? []
      : [{ ...makeBundle("partner.test", []), x509Authorities: trust.partner }]),
  ];
  const set = { crls: trust.crls, intermediates: [] };
  const seen: WorkloadView = view({
    svids: [goodPeer],
    bundles,
    crls: new Map(bundles.slice(0, 1).map((bundle) => [bundle.trustDomain, set])),
  });
  const secrets = secretCatalog({
    versionKey: Buffer.alloc(32),
    check: servableCheck(new HeldClock(present), { stale: trust.stale }),
    ...(trust.withNobody ? { nobody: nobody.der } : {}),
  });
  const { name, validator } = trust;
  return secrets.snapshot(seen).find(name, { validator, trusted: true, now: present });
}
