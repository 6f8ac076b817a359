import { describe, expect, test } from "vitest";
import { certificatesToPem } from "../../src/core/x509/pem.ts";
import { hour, makeAuthority, makeSvid, type WorldAuthority } from "../support/ca-world.ts";
import { envoySkipped } from "../support/parts.ts";
import { pemOf, startGuardedEnvoy } from "./support/guarded-envoy.ts";

// Envoy reads the real clock.
const now = Date.now();
const dates = { notBefore: now - hour, notAfter: now + hour };
const root = makeAuthority(dates);
const web = makeSvid([root], { ...dates, id: "spiffe://example.org/web" });
const other = makeSvid([root], { ...dates, id: "spiffe://example.org/other" });
const lookAlike = makeAuthority({ ...dates, trustDomain: "example.org.evil" });
const evil = makeSvid([lookAlike], { ...dates, id: "spiffe://example.org.evil/web" });

const own = (() => {
  const { cert, key } = pemOf(other);
  return {
    tls_certificate: {
      certificate_chain: { inline_string: cert },
      private_key: { inline_string: key },
    },
  };
})();

/** As Herald pushes trust: the SPIFFE validator, with or without a policy. */
function trustIn(authorities: readonly WorldAuthority[], allowed?: string): unknown {
  return {
    validation_context: {
      custom_validator_config: {
        name: "envoy.tls.cert_validator.spiffe",
        typed_config: {
          "@type":
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
          trust_domains: authorities.map((one) => ({
            name: one.trustDomain,
            trust_bundle: { inline_string: certificatesToPem([one.der]) },
          })),
        },
      },
      ...(allowed === undefined
        ? {}
        : { match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: allowed } }] }),
    },
  };
}

const sidecar = "--trust-domain example.org --listen 127.0.0.1:0 --upstream-app 127.0.0.1:1".split(
  " ",
);
/** Whichever comes first: a secret was refused, or all of them were taken. */
const decided = /config update rejected|starting workers/;
const taken = /starting workers/;
/** Past the handshake: the application, which is not there, is asked. */
const accepted = 503;

describe.skipIf(envoySkipped())("a generated bootstrap in a real Envoy", () => {
  test("EF-23 ROOTCA: every identity of the own domain, none of one that only begins like it", async () => {
    await using envoy = await startGuardedEnvoy({
      argv: sidecar,
      secrets: { default: own, ROOTCA: trustIn([root, lookAlike]) },
      until: decided,
    });
    expect(envoy.line).toMatch(taken);
    expect(await envoy.call(web)).toBe(accepted);
    expect(await envoy.call(other)).toBe(accepted);
    expect(await envoy.call(evil)).toBeUndefined();
  });

  test("EF-23 --allow-caller: this one and nobody else", async () => {
    await using envoy = await startGuardedEnvoy({
      argv: [...sidecar, "--allow-caller", "spiffe://example.org/web"],
      secrets: { default: own, ROOTCA: trustIn([root]) },
      until: decided,
    });
    expect(envoy.line).toMatch(taken);
    expect(await envoy.call(web)).toBe(accepted);
    expect(await envoy.call(other)).toBeUndefined();
  });

  test("EF-23 peers: whom the pushed policy names, and nobody else", async () => {
    await using envoy = await startGuardedEnvoy({
      argv: [...sidecar, "--inbound-context", "peers:in"],
      secrets: { default: own, "peers:in": trustIn([root], "spiffe://example.org/web") },
      until: decided,
    });
    expect(envoy.line).toMatch(taken);
    expect(await envoy.call(web)).toBe(accepted);
    expect(await envoy.call(other)).toBeUndefined();
  });

  test("EF-26 peers: a policy that was pushed without its matchers lets nobody in", async () => {
    await using envoy = await startGuardedEnvoy({
      argv: [...sidecar, "--inbound-context", "peers:in"],
      secrets: { default: own, "peers:in": trustIn([root]) },
      until: decided,
    });
    expect(envoy.line).toMatch(taken);
    expect(await envoy.call(web)).toBeUndefined();
    expect(await envoy.call(other)).toBeUndefined();
  });

  test.for(["ROOTCA", "peers:in"])(
    "EF-26 %s: an empty context is refused by Envoy, the port stays closed",
    async (name) => {
      await using envoy = await startGuardedEnvoy({
        argv: [...sidecar, "--inbound-context", name],
        secrets: { default: own, [name]: { validation_context: {} } },
        until: decided,
      });
      expect(envoy.line).toMatch(/rejected/);
      expect(await envoy.call(web)).toBeUndefined();
    },
  );
});
