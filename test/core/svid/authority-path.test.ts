import { describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import {
  type AuthorityPath,
  authorityPath,
  hasRoomBelow,
} from "../../../src/core/svid/authority-path.ts";
import { verifyX509Svid } from "../../../src/core/svid/verify.ts";
import { keyUsage } from "../../../src/core/x509/extension-writer.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import {
  bundlesOf,
  extension,
  hour,
  makeAuthority,
  makeBundle,
  makeLeaf,
  noon,
  type WorldAuthority,
} from "../../support/ca-world.ts";
import { operatorsCa, pathLength, permittedHost } from "../../support/upstream-world.ts";

/** An authority, what lies between it and the roots, and the roots. */
interface World {
  readonly authority: WorldAuthority;
  readonly above?: readonly WorldAuthority[];
  readonly roots: readonly WorldAuthority[];
}

function check({ authority, above = [], roots }: World): AuthorityPath {
  return authorityPath({
    certificate: authority.certificate,
    above: above.map(({ certificate }) => certificate),
    anchors: roots.map(({ certificate }) => certificate),
    trustDomain: parseTrustDomain("example.org"),
    now: noon,
  });
}

/** What a node says of an SVID of it. */
function verify({ authority, above = [], roots }: World): void {
  const chain = [makeLeaf(authority), ...[authority, ...above].map(({ der }) => der)];
  verifyX509Svid(chain, bundlesOf(makeBundle("example.org", roots)), noon);
}

const root = operatorsCa();
const middle = operatorsCa({ parent: root });
const good = makeAuthority({ parent: middle });

/** An authority below an intermediate that was bent. */
function below(bend: Parameters<typeof operatorsCa>[0]): World {
  const bent = operatorsCa({ parent: root, ...bend });
  return { authority: makeAuthority({ parent: bent }), above: [bent], roots: [root] };
}

describe("an authority's way up", () => {
  test("is found through intermediates in any order, past what does not belong to it", () => {
    const low = operatorsCa({ parent: middle });
    const authority = makeAuthority({ parent: low });
    const stray = operatorsCa();
    const { path } = check({ authority, above: [stray, middle, low], roots: [stray, root] });
    expect(path.map(({ serial }) => serial)).toEqual(
      [authority, low, middle, root].map(({ certificate }) => certificate.serial),
    );
  });

  test("is itself for a root of the trust domain", () => {
    expect(check({ authority: root, roots: [root] }).path).toEqual([root.certificate]);
  });

  test("ends as early as its first certificate", () => {
    const short = operatorsCa({ parent: root, notAfter: noon + 2 * hour });
    const authority = makeAuthority({ parent: short });
    const { notAfter } = check({ authority, above: [short], roots: [root] });
    expect(notAfter).toBe(noon + 2 * hour);
  });

  test.for([
    [undefined, undefined, true],
    [1, undefined, true],
    [0, undefined, false],
    [undefined, 1, false],
    [undefined, 2, true],
  ] as const)(
    "an intermediate with pathlen %s below a root with %s: room for one more: %s",
    ([own, top, room]) => {
      const length = (of: number | undefined) =>
        of === undefined ? {} : { replace: pathLength(of) };
      const high = operatorsCa(length(top));
      const ca = operatorsCa({ parent: high, ...length(own) });
      expect(hasRoomBelow(check({ authority: ca, roots: [high] }).path)).toBe(room);
    },
  );
});

const noBasic = { [oid.basicConstraints]: undefined };
const hostile: readonly (readonly [rule: string, what: string, code: string, world: World])[] = [
  [
    "XSVID-17",
    "another root",
    "SVID_UNTRUSTED",
    { authority: good, above: [middle], roots: [operatorsCa()] },
  ],
  ["XSVID-17", "a missing intermediate", "SVID_UNTRUSTED", { authority: good, roots: [root] }],
  ["XSVID-17", "one above that is no CA", "SVID_AUTHORITY_PROFILE", below({ replace: noBasic })],
  [
    "XSVID-17",
    "one above without keyCertSign",
    "SVID_AUTHORITY_PROFILE",
    below({ replace: { [oid.keyUsage]: keyUsage("cRLSign") } }),
  ],
  [
    "XSVID-17",
    "an authority that is no CA",
    "SVID_AUTHORITY_PROFILE",
    { authority: makeAuthority({ parent: root, replace: noBasic }), roots: [root] },
  ],
  [
    "XSVID-17",
    "no room left by the path length",
    "SVID_PATH_LENGTH",
    below({ replace: pathLength(0) }),
  ],
  [
    "XSVID-17",
    "one above that has ended",
    "SVID_AUTHORITY_DATES",
    below({ notAfter: noon - hour }),
  ],
  [
    "XSVID-17",
    "one above that is yet to come",
    "SVID_AUTHORITY_DATES",
    below({ notBefore: noon + hour }),
  ],
  [
    "XSVID-17",
    "a root that has ended",
    "SVID_AUTHORITY_DATES",
    (() => {
      const ended = operatorsCa({ notAfter: noon - hour });
      return { authority: makeAuthority({ parent: ended }), roots: [ended] };
    })(),
  ],
  [
    "XSVID-15",
    "one above with another's SPIFFE ID",
    "SVID_AUTHORITY_ID",
    below({ uris: ["spiffe://example.org/ca"] }),
  ],
  [
    "XSVID-20",
    "constrained to another trust domain",
    "SVID_NAME_CONSTRAINT",
    below({ replace: permittedHost("other.org") }),
  ],
  [
    "XSVID-17",
    "a critical extension that nobody knows",
    "SVID_CRITICAL_EXTENSION",
    below({ add: [extension("1.2.3.4", true, Buffer.from("0500", "hex"))] }),
  ],
  [
    "XSVID-17",
    "signed by a namesake of the one above",
    "SVID_SIGNATURE",
    (() => {
      const subject = middle.certificate.subject;
      const replace = { [oid.authorityKeyIdentifier]: undefined };
      const impostor = operatorsCa({ parent: root, subject });
      const authority = makeAuthority({ parent: impostor, replace });
      return { authority, above: [middle], roots: [root] };
    })(),
  ],
];

describe("an authority that no SVID would be accepted of", () => {
  test.for(hostile)("%s %s: %s", ([, , code, world]) => {
    expect(() => check(world)).toThrow(expect.objectContaining({ code }) as Error);
    // The judgement is the verifiers': what is refused here is refused there.
    expect(() => verify(world)).toThrow(expect.objectContaining({ code }) as Error);
  });

  test("one without any root", () => {
    expect(() => check({ authority: good, above: [middle], roots: [] })).toThrow(
      expect.objectContaining({ code: "SVID_UNTRUSTED" }) as Error,
    );
  });

  test("one that is not refused is accepted by verifiers", () => {
    for (const world of [
      { authority: good, above: [middle], roots: [root] },
      below({ replace: permittedHost("example.org") }),
      below({ replace: pathLength(1) }),
    ]) {
      check(world);
      verify(world);
    }
  });
});
