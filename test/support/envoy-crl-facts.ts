import { expect, test } from "vitest";
import { encodeTrust, type TrustedDomain } from "../../src/sds/encode.ts";
import { hour, makeAuthority, type WorldAuthority } from "./ca-world.ts";
import { type CrlBend, makeCrl } from "./crl-world.ts";
import {
  accepted,
  present,
  presentDates,
  presentSvid,
  TrialEnvoy,
  trialContext,
} from "./trial-envoy.ts";

const [one, two] = [makeAuthority(presentDates), makeAuthority(presentDates)];
const below = makeAuthority({ ...presentDates, parent: one });
const partner = makeAuthority({ ...presentDates, trustDomain: "partner.test" });

/** `a` and `b` by one root, `c` by another, `d` and `e` by an authority below the first, `p` of another trust domain. */
const peers = {
  a: presentSvid([one], { id: "spiffe://example.org/a" }),
  b: presentSvid([one], { id: "spiffe://example.org/b" }),
  c: presentSvid([two], { id: "spiffe://example.org/c" }),
  d: presentSvid([one, below], { id: "spiffe://example.org/d" }),
  e: presentSvid([one, below], { id: "spiffe://example.org/e" }),
  p: presentSvid([partner], { id: "spiffe://partner.test/p" }),
};

const crl = (
  by: WorldAuthority,
  revoked: readonly { readonly serial: string }[] = [],
  bend: CrlBend = {},
): Uint8Array =>
  makeCrl(by, {
    thisUpdate: present - hour,
    nextUpdate: present + 24 * hour,
    revoked: revoked.map(({ serial }) => ({ serial, at: present - 1000 })),
    ...bend,
  });

const own = (crls: readonly Uint8Array[]): TrustedDomain => ({
  trustDomain: "example.org",
  x509Authorities: [one.der, two.der],
  crls,
});
const ofPartner: TrustedDomain = {
  trustDomain: "partner.test",
  x509Authorities: [partner.der],
  crls: [],
};
const spiffe = (crls: readonly Uint8Array[]): Uint8Array =>
  encodeTrust(trialContext, [own(crls), ofPartner], "spiffe");
const flat = (crls: readonly Uint8Array[]): Uint8Array =>
  encodeTrust(trialContext, [own(crls)], "trusted-ca");

const ended = { nextUpdate: present - 60_000 };
const future = { thisUpdate: present + hour };
const forged = { key: two.key };
const { b, d } = peers;

/** What is pushed, whether Envoy acknowledges, and who is let in then. */
const facts: readonly (readonly [string, Uint8Array, "ack" | "nack", string])[] = [
  ["no CRL", spiffe([]), "ack", "abcdep"],
  [
    "one authority's CRL: everybody below the other is refused, other domains are not",
    spiffe([crl(one, [b])]),
    "ack",
    "ap",
  ],
  [
    "a CRL of each root: authorities below them are refused",
    spiffe([crl(one, [b]), crl(two)]),
    "ack",
    "acp",
  ],
  [
    "a CRL of each root and of the authority below",
    spiffe([crl(one), crl(two), crl(below, [d])]),
    "ack",
    "abcep",
  ],
  ["a CRL of the authority below alone: everybody is refused", spiffe([crl(below)]), "ack", "p"],
  [
    "the root revokes the authority below",
    spiffe([crl(one, [{ serial: below.certificate.serial }]), crl(two), crl(below)]),
    "ack",
    "abcp",
  ],
  [
    "a CRL past its nextUpdate: its authority's peers are refused",
    spiffe([crl(one, [], ended), crl(two)]),
    "ack",
    "cp",
  ],
  ["a CRL before its thisUpdate: the same", spiffe([crl(one, [], future), crl(two)]), "ack", "cp"],
  ["a CRL by the wrong key: the same", spiffe([crl(one, [], forged), crl(two)]), "ack", "cp"],
  ["a CRL of a foreign authority: everybody is refused", spiffe([crl(partner)]), "ack", "p"],
  [
    "two CRLs of one authority, the older first: the newer counts",
    spiffe([
      crl(one, [], { thisUpdate: present - 2 * hour }),
      crl(one, [b], { number: 2n }),
      crl(two),
    ]),
    "ack",
    "acp",
  ],
  [
    "two CRLs of one authority, the newer first: the same",
    spiffe([
      crl(one, [b], { number: 2n }),
      crl(one, [], { thisUpdate: present - 2 * hour }),
      crl(two),
    ]),
    "ack",
    "acp",
  ],
  ["what is no CRL", spiffe([Buffer.from("garbage")]), "nack", "abcdep"],
  ["flat, no CRL", flat([]), "ack", "abcde"],
  ["flat, one authority's CRL", flat([crl(one, [b])]), "ack", "a"],
  ["flat, a CRL of each root", flat([crl(one, [b]), crl(two)]), "ack", "ac"],
  [
    "flat, a CRL of each root and of the authority below",
    flat([crl(one), crl(two), crl(below, [d])]),
    "ack",
    "abce",
  ],
  ["flat, a CRL past its nextUpdate", flat([crl(one, [], ended), crl(two)]), "ack", "c"],
  ["flat, what is no CRL", flat([Buffer.from("garbage")]), "nack", "abcdep"],
];

/** EF-20 and EF-21 as this Envoy has them; docs/protocol.md tells the same, and core/svid/crl-cover.ts is built on it. */
export function envoyCrlFacts(version: string, envoyPath: () => string | Promise<string>): void {
  test(`EF-20 EF-21 what Envoy ${version} makes of CRLs in a validation context`, async () => {
    const callers = Object.values(peers).map(({ id }) => id);
    const plain = spiffe([]);
    await using envoy = await TrialEnvoy.start(await envoyPath(), plain, callers);
    const seen: unknown[] = [];
    for (const [what, secret] of facts) {
      await envoy.push(plain);
      const verdict = await envoy.push(secret);
      let admitted = "";
      for (const [name, svid] of Object.entries(peers))
        if ((await envoy.call(svid)) === accepted) admitted += name;
      seen.push([what, verdict === undefined ? "ack" : "nack", admitted]);
    }
    expect(seen).toEqual(facts.map(([what, , verdict, admitted]) => [what, verdict, admitted]));
  });
}
