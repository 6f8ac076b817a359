import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import * as peculiar from "@peculiar/x509";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StaleCrls } from "../../src/core/svid/crl-cover.ts";
import { encodeTrust } from "../../src/sds/encode.ts";
import { makeAuthority } from "../support/ca-world.ts";
import { envoyPath, envoySkipped } from "../support/parts.ts";
import {
  accepted,
  present,
  presentDates,
  TrialEnvoy,
  trialContext,
} from "../support/trial-envoy.ts";
import { contextOf, type SentContext, secretOf } from "./support/contexts.ts";
import {
  answerTo,
  goodPeer,
  type HostileTrust,
  hostileTrust,
  isClean,
  isWhole,
  revokedPeer,
} from "./support/hostile-trust.ts";

/** One list of authorities with the CRLs that stand beside it, as PEM. */
type Store = readonly [authorities: string, crls: string];

// The judge knows nothing of Herald's readers: protobuf by hand, PEM by pattern, certificates by OpenSSL in Node, CRLs by @peculiar/x509.

/** As it stands in the context. */
function storesOf(context: SentContext): readonly Store[] {
  if ("trustedCa" in context) {
    expect(context.crl).not.toBe("");
    return [[context.trustedCa, context.crl ?? ""]];
  }
  expect(context.domains.length).toBeGreaterThan(0);
  const names = context.domains.map(([name]) => name);
  expect(new Set(names).size).toBe(names.length);
  return context.domains.map(([, pem]) => {
    const crls = pem.indexOf("-----BEGIN X509 CRL-----");
    return crls === -1 ? [pem, ""] : [pem.slice(0, crls), pem.slice(crls)];
  });
}

/** The blocks, and nothing between them. */
function blocksOf(pem: string, label: string): readonly string[] {
  const pattern = `-----BEGIN ${label}-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END ${label}-----\n`;
  expect(pem).toMatch(new RegExp(`^(?:${pattern})*$`));
  return pem.match(new RegExp(pattern, "g")) ?? [];
}

async function judgeStore([authorities, crls]: Store, stale: StaleCrls): Promise<void> {
  const cas = blocksOf(authorities, "CERTIFICATE").map((pem) => new X509Certificate(pem));
  expect(cas.length).toBeGreaterThan(0);
  for (const ca of cas) expect(ca.ca).toBe(true);
  const lists = blocksOf(crls, "X509 CRL").map((pem) => new peculiar.X509Crl(pem));
  if (lists.length === 0) return;
  const live = cas.filter((ca) => ca.validToDate.getTime() > present);
  const readable = live.map((ca) => new peculiar.X509Certificate(ca.raw));
  // Certificates of one name are one authority: a renewed one, or, here, one with a changed byte beside the true one.
  const names = new Set(readable.map((ca) => ca.subject));
  expect(lists.length).toBe(names.size);
  for (const name of names) {
    const theirs = lists.filter((crl) => crl.issuer === name);
    expect(theirs.length).toBe(1);
    for (const crl of theirs) {
      const by = readable.filter((ca) => ca.subject === name);
      const proofs = await Promise.all(by.map((publicKey) => isBy(crl, publicKey)));
      expect(proofs).toContain(true);
      expect(crl.thisUpdate.getTime()).toBeLessThanOrEqual(present);
      const isRefusal = stale === "refuse" && crl.nextUpdate !== undefined;
      expect(isRefusal || (crl.nextUpdate?.getTime() ?? 0) > present).toBe(true);
    }
  }
}

async function isBy(crl: peculiar.X509Crl, publicKey: peculiar.X509Certificate): Promise<boolean> {
  try {
    return await crl.verify({ publicKey });
  } catch {
    return false;
  }
}

describe("EF-26 EF-21 SDS-05 whatever trust and CRLs the node holds", () => {
  test("every malformed or empty context is caught before the wire: what goes out is whole, and what is whole goes out", async () => {
    await fc.assert(
      fc.asyncProperty(hostileTrust, async (trust) => {
        const context = contextOf(answerTo(trust));
        if (isWhole(trust) && trust.name === "ROOTCA")
          expect(JSON.stringify(context)).toContain("X509 CRL");
        if (context === undefined) return;
        for (const store of storesOf(context)) await judgeStore(store, trust.stale);
      }),
      { numRuns: 1500 },
    );
  });

  test("the judge finds fault with what would go out unguarded", async () => {
    let faults = 0;
    for (const trust of fc.sample(hostileTrust, { numRuns: 200, seed: 4 })) {
      const { authorities: x509Authorities, crls, validator } = trust;
      const resource = encodeTrust(
        trialContext,
        [{ trustDomain: "example.org", x509Authorities, crls }],
        validator,
      );
      faults += (await isFaulty(resource, trust)) ? 1 : 0;
    }
    expect(faults).toBeGreaterThan(50);
  });
});

async function isFaulty(secret: Uint8Array, trust: HostileTrust): Promise<boolean> {
  // As DiscoveryResponse { resources: [Any { value: secret }] }.
  const field = (bytes: Uint8Array): Buffer => {
    const length = [bytes.length & 0x7f, (bytes.length >> 7) & 0x7f, bytes.length >> 14];
    return Buffer.concat([
      Buffer.of(0x12, (length[0] ?? 0) | 0x80, (length[1] ?? 0) | 0x80, length[2] ?? 0),
      bytes,
    ]);
  };
  const resource = field(field(secret));
  try {
    const found = {
      name: "",
      version: "",
      source: { kind: "bundle", sequences: new Map() },
      resource,
    } as const;
    const context = contextOf({ kind: "secret", secret: found });
    for (const store of context === undefined ? [] : storesOf(context))
      await judgeStore(store, trust.stale);
    return false;
  } catch {
    return true;
  }
}

describe.skipIf(envoySkipped())("a sample of them, to a real Envoy (needs Envoy)", () => {
  test("EF-21 EF-26 it acknowledges each, lets good peers in, and the revoked one only where no CRL goes along", async () => {
    const root = makeAuthority(presentDates);
    const first = encodeTrust(
      trialContext,
      [{ trustDomain: "example.org", x509Authorities: [root.der], crls: [] }],
      "spiffe",
    );
    await using envoy = await TrialEnvoy.start(envoyPath(), first);
    const seen = { withCrls: 0, without: 0 };
    for (const trust of fc.sample(hostileTrust, { numRuns: 150, seed: 26 })) {
      // What the operator wants refused is refused; this is about the rest.
      const answer = answerTo({ ...trust, name: "ROOTCA", stale: "strip" });
      const [secret, context] = [secretOf(answer), contextOf(answer)];
      if (secret === undefined || context === undefined) continue;
      expect(await envoy.push(secret)).toBeUndefined();
      // A root with a changed byte is taken, and trusts nobody: roots are not verified.
      if (!isClean(trust)) continue;
      const [[, crls] = ["", ""]] = storesOf(context);
      expect(await envoy.call(goodPeer)).toBe(accepted);
      expect(await envoy.call(revokedPeer)).toBe(crls === "" ? accepted : undefined);
      seen[crls === "" ? "without" : "withCrls"] += 1;
    }
    expect(Math.min(seen.withCrls, seen.without)).toBeGreaterThan(5);
  });
});
