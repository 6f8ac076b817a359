import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { authorityPath } from "../../src/core/svid/authority-path.ts";
import { verifyX509Svid } from "../../src/core/svid/verify.ts";
import { type Certificate, parseCertificate } from "../../src/core/x509/certificate.ts";
import { curveOf, type KeyType } from "../../src/core/x509/key-type.ts";
import { keyObjectSigner, type Signer } from "../../src/core/x509/signer.ts";
import { svidTemplate } from "../../src/core/x509/svid-template.ts";
import { makeAuthorityKey } from "../../src/issuer/adapters/memory-keys.ts";
import type {
  AuthorityRequest,
  CertifiedAuthority,
  UpstreamAuthority,
} from "../../src/issuer/ports.ts";
import { bundlesOf, idOf, makeKey, nextSerial } from "../support/ca-world.ts";

/** An upstream to try, which certifies for example.org. */
export interface UpstreamRig {
  readonly upstream: UpstreamAuthority;
  close(): Promise<void>;
}

const trustDomain = parseTrustDomain("example.org");
const hour = 3_600_000;
let named = 0;

/** A new authority that is to live for an hour from now on. */
export function authorityRequest(signer: Signer, lifeMs: number = hour): AuthorityRequest {
  const now = Date.now();
  named += 1;
  return {
    authority: `contract-${named}`,
    trustDomain,
    key: () => Promise.resolve(signer),
    serial: nextSerial(),
    now,
    notBefore: now - 10_000,
    notAfter: now + lifeMs,
  };
}

async function newSigner(keyType: KeyType = "ec-p256"): Promise<Signer> {
  return keyObjectSigner(await makeAuthorityKey(keyType));
}

function pathOf({ certificate, above, anchors }: CertifiedAuthority): readonly Certificate[] {
  const facts = {
    certificate: parseCertificate(certificate),
    above: above.map(parseCertificate),
    anchors: anchors.map(parseCertificate),
  };
  return authorityPath({ ...facts, trustDomain, now: Date.now() }).path;
}

/** What every upstream must do, whatever it is. */
export function upstreamContract(title: string, make: () => Promise<UpstreamRig>): void {
  describe(`the upstream: ${title}`, () => {
    let rig: UpstreamRig;
    beforeAll(async () => {
      rig = await make();
    }, 900_000);
    afterAll(() => rig.close());

    test.for(Object.keys(curveOf) as KeyType[])(
      "an authority on %s: its SVIDs verify by its chain and roots",
      async (keyType) => {
        const signer = await newSigner(keyType);
        const certified = await rig.upstream.certify(authorityRequest(signer));
        const path = pathOf(certified);
        const [authority] = path;
        if (authority === undefined) throw new Error("there is no path");
        expect(Buffer.from(authority.spki)).toEqual(Buffer.from(signer.spki));
        expect(authority.uris).toEqual(["spiffe://example.org"]);
        const template = svidTemplate(authority);
        const now = Date.now();
        const toBeSigned = template.toBeSigned({
          serial: nextSerial(),
          spki: makeKey().spki,
          id: idOf("/web"),
          dnsNames: [],
          notBefore: now - 10_000,
          notAfter: now + 60_000,
        });
        const leaf = template.assemble(toBeSigned, await signer.sign(toBeSigned));
        const chain = [leaf, ...path.slice(0, -1).map(({ der }) => der)];
        const bundle = {
          trustDomain,
          sequence: 1n,
          refreshHintSeconds: 300,
          x509Authorities: certified.anchors,
          jwtAuthorities: [],
        };
        expect(verifyX509Svid(chain, bundlesOf(bundle), now).id).toBe(idOf("/web"));
      },
    );

    test("XSVID-27 two authorities have two names and two serials", async () => {
      const made = await Promise.all(
        [await newSigner(), await newSigner()].map((signer) =>
          rig.upstream.certify(authorityRequest(signer)),
        ),
      );
      const [one, two] = made.map(({ certificate }) => parseCertificate(certificate));
      expect(one?.subject).not.toEqual(two?.subject);
      expect(one?.serial).not.toBe(two?.serial);
    });

    test("an authority lives as long as was asked for, and not longer than what certified it", async () => {
      const short = await rig.upstream.certify(authorityRequest(await newSigner()));
      const left = parseCertificate(short.certificate).notAfter - Date.now();
      // Whole seconds, and some upstreams count from a moment before.
      expect(Math.abs(left - hour)).toBeLessThan(120_000);
      const forEver = authorityRequest(await newSigner(), 100 * 365 * 24 * hour);
      const path = pathOf(await rig.upstream.certify(forEver));
      const [own = 0, ...above] = path.map(({ notAfter }) => notAfter);
      expect(own).toBeLessThanOrEqual(Math.min(...above));
    });

    test("what it trusts is what it certifies with", async () => {
      const { issuer, anchors } = await rig.upstream.trust();
      const certified = await rig.upstream.certify(authorityRequest(await newSigner()));
      expect(certified.anchors).toEqual(anchors);
      expect(pathOf(certified)[1]?.der).toEqual(issuer);
    });
  });
}
