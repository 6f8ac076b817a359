import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { keyObjectSigner } from "../../src/core/x509/signer.ts";
import { StepCaUpstream } from "../../src/issuer/adapters/step-ca-upstream.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { systemRandom } from "../../src/kit/random.ts";
import { authorityRequest, upstreamContract } from "../contract/upstream.ts";
import { makeKey } from "../support/ca-world.ts";
import { StepCa, stepCaIsThere } from "../support/step-ca.ts";

const trustDomain = parseTrustDomain("example.org");

describe.skipIf(!stepCaIsThere())("step-ca (needs go)", () => {
  let ca: StepCa;
  // The first build of step-ca takes minutes.
  beforeAll(async () => {
    ca = await StepCa.start();
  }, 900_000);
  afterAll(() => ca.stop());

  const upstream = (more: Partial<ConstructorParameters<typeof StepCaUpstream>[0]> = {}) =>
    new StepCaUpstream({
      url: ca.url,
      fingerprint: ca.fingerprint,
      provisioner: "herald",
      key: () => readFile(ca.keyFile, "utf8"),
      password: undefined,
      trustDomain,
      clock: systemClock,
      random: systemRandom,
      ...more,
    });
  const certify = (from: StepCaUpstream): Promise<unknown> =>
    from.certify(authorityRequest(keyObjectSigner(makeKey().privateKey)));

  upstreamContract("step-ca with a JWK provisioner", async () => ({
    upstream: upstream(),
    close: async () => undefined,
  }));

  upstreamContract("step-ca with the provisioner's encrypted key", async () => ({
    upstream: upstream({
      key: () => readFile(ca.encrypted.keyFile, "utf8"),
      password: async () => (await readFile(ca.encrypted.passwordFile, "utf8")).trim(),
    }),
    close: async () => undefined,
  }));

  test("another root than the fingerprint's gets no token", async () => {
    const from = upstream({
      fingerprint: "0".repeat(64),
      key: () => Promise.reject(new Error("the key is not asked for")),
    });
    await expect(certify(from)).rejects.toMatchObject({ code: "UPSTREAM_REFUSED" });
  });

  test.for([
    ["a provisioner without a template for intermediates", { provisioner: "leaves" }],
    ["a provisioner that is not there", { provisioner: "nobody" }],
    ["a key that is none", { key: () => Promise.resolve('{"kty":"EC"}') }],
    ["the public half only", { key: () => Promise.resolve('{"kty":"EC","kid":"a","x":"b"}') }],
  ] as const)("%s is refused", async ([, more]) => {
    await expect(certify(upstream(more))).rejects.toMatchObject({ code: "UPSTREAM_REFUSED" });
  });

  test.for([
    ["without a password", undefined],
    ["with the wrong password", () => Promise.resolve("wrong")],
  ] as const)("an encrypted key %s is refused", async ([, password]) => {
    const from = upstream({ key: () => readFile(ca.encrypted.keyFile, "utf8"), password });
    await expect(certify(from)).rejects.toMatchObject({ code: "UPSTREAM_REFUSED" });
  });
});
