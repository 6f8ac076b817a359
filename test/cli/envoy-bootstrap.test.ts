import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type EnvoyBootstrapOptions, envoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { envoyPath, envoySkipped } from "../support/parts.ts";
import { herald, temporaryFolder } from "./support/run.ts";

const lines = {
  inbound:
    "envoy bootstrap --trust-domain example.org --listen 0.0.0.0:8443 --upstream-app 127.0.0.1:8080",
  "inbound-callers":
    "envoy bootstrap --spiffe-id spiffe://example.org/api --listen [::1]:8443 --upstream-app localhost:8080 --allow-caller spiffe://example.org/web --allow-caller spiffe://other.org/web --admin 127.0.0.1:0",
  egress:
    "envoy bootstrap --trust-domain example.org --egress 127.0.0.1:9000 --to api.internal:8443 --expect-server spiffe://example.org/api --api-type delta",
  "aging-connections":
    "envoy bootstrap --trust-domain example.org --listen 0.0.0.0:8443 --upstream-app 127.0.0.1:8080 --egress 127.0.0.1:9000 --to 10.0.0.1:8443 --max-connection-age 10m",
  both: "envoy bootstrap --trust-domain example.org --socket unix:///tmp/h.sock --listen 0.0.0.0:8443 --upstream-app 127.0.0.1:8080 --inbound-context peers:in --egress 127.0.0.1:9000 --to 10.0.0.1:8443 --egress-context spiffe://other.org --admin none",
} as const;

describe.for(Object.entries(lines))("%s", ([name, line]) => {
  test("is the golden file, in YAML and in JSON", async () => {
    const yaml = await herald(line.split(" "));
    expect(yaml.err).toBe("");
    await expect(yaml.out).toMatchFileSnapshot(`golden/envoy-${name}.yaml`);
    const json = await herald([...line.split(" "), "--json"]);
    expect(parse(yaml.out)).toEqual(JSON.parse(json.out));
  });

  test.skipIf(envoySkipped())("EF-26 passes `envoy --mode validate`", async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, "envoy.yaml");
    writeFileSync(file, (await herald(line.split(" "))).out);
    const ran = spawnSync(envoyPath(), ["--mode", "validate", "-c", file], { encoding: "utf8" });
    expect(ran.stderr + ran.stdout).toContain("OK");
    expect(ran.status).toBe(0);
  });
});

const id = fc
  .stringMatching(/^[a-z]{1,8}$/)
  .map((name) => parseSpiffeId(`spiffe://example.org/${name}`));
const address = fc.record({
  host: fc.constantFrom("127.0.0.1", "::1", "a.b"),
  port: fc.nat(65_535),
});
const trustContext = fc.constantFrom("ROOTCA", "ALL", "spiffe://other.org");
const policyContext = fc.stringMatching(/^peers:[a-z/]{1,8}$/);
const options: fc.Arbitrary<EnvoyBootstrapOptions> = fc.record(
  {
    trustDomain: fc.constant(parseTrustDomain("example.org")),
    svidName: fc.oneof(fc.constant("default"), id),
    socket: fc.constant("/run/herald/herald.sock"),
    apiType: fc.constantFrom("grpc" as const, "delta" as const),
    inbound: fc.oneof(
      fc.record({
        listen: address,
        app: address,
        context: trustContext,
        allowCallers: fc.array(id),
      }),
      fc.record({
        listen: address,
        app: address,
        context: policyContext,
        allowCallers: fc.constant([]),
      }),
    ),
    egress: fc.oneof(
      fc.record(
        { listen: address, to: address, context: trustContext, expectServer: id },
        { requiredKeys: ["listen", "to", "context"] },
      ),
      fc.record({ listen: address, to: address, context: policyContext }),
    ),
    admin: address,
  },
  { requiredKeys: ["trustDomain", "svidName", "socket", "apiType"] },
);

interface Guarded {
  readonly default_validation_context: {
    readonly match_typed_subject_alt_names: readonly {
      readonly san_type: string;
      readonly matcher: Readonly<Record<string, unknown>>;
    }[];
  };
  readonly validation_context_sds_secret_config: { readonly name: string };
}

/** Every value that stands under `key`, anywhere. */
function under(value: unknown, key: string): readonly unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [
    ...(name === key ? [member as unknown] : []),
    ...under(member, key),
  ]);
}

describe("every bootstrap", () => {
  const everywhere = (holds: (config: unknown, of: EnvoyBootstrapOptions) => void): void =>
    fc.assert(fc.property(options, (some) => holds(envoyBootstrap(some), some)));

  test("EF-26 guards each context, and takes none without a guard", () =>
    everywhere((config, { inbound, egress }) => {
      const guarded = under(config, "combined_validation_context") as readonly Guarded[];
      const sides = [inbound, egress].filter((side) => side !== undefined);
      expect(guarded).toHaveLength(sides.length);
      // Each of them is inside a combined one: nothing is trusted beside a guard.
      expect(under(config, "validation_context_sds_secret_config")).toHaveLength(sides.length);
      expect(under(config, "validation_context")).toEqual([]);
      for (const one of guarded) {
        const matchers = one.default_validation_context.match_typed_subject_alt_names;
        expect(matchers.length).toBeGreaterThan(0);
        expect(matchers.every(({ san_type }) => san_type === "URI")).toBe(true);
      }
    }));

  test("EF-23 lets nobody in beside a policy, and a whole domain only by its prefix with the slash", () =>
    everywhere((config, { inbound, egress }) => {
      const guarded = under(config, "combined_validation_context") as readonly Guarded[];
      const named = [...(inbound?.allowCallers ?? []), egress?.expectServer];
      for (const one of guarded) {
        const { name } = one.validation_context_sds_secret_config;
        for (const { matcher } of one.default_validation_context.match_typed_subject_alt_names) {
          if (name.startsWith("peers:")) {
            expect(matcher).toEqual({ safe_regex: { regex: "[^\\s\\S]" } });
          } else if ("exact" in matcher) expect(named).toContain(matcher["exact"]);
          else expect(matcher["prefix"]).toMatch(/^spiffe:\/\/(example|other)\.org\/$/);
        }
      }
    }));

  test("EF-05, EF-06, EF-08, EF-40: room for many secrets, quick to come back, no ADS, no port without its secret", () =>
    everywhere((config) => {
      expect(under(config, "ads")).toEqual([]);
      expect(under(config, "max_requests")).toEqual([65_536]);
      expect(under(config, "connection_keepalive")).toEqual([{ interval: "10s", timeout: "5s" }]);
      for (const sds of under(config, "sds_config")) {
        expect(under(sds, "retry_back_off")).toEqual([
          { base_interval: "0.1s", max_interval: "0.5s" },
        ]);
        expect(under(sds, "initial_fetch_timeout")).toEqual(["0s"]);
      }
    }));

  test("speaks TLS 1.3 only, and hands on no identity that a caller claims", () =>
    everywhere((config, { inbound, egress }) => {
      const sides = [inbound, egress].filter((side) => side !== undefined).length;
      const params = {
        tls_minimum_protocol_version: "TLSv1_3",
        tls_maximum_protocol_version: "TLSv1_3",
      };
      expect(under(config, "tls_params")).toEqual(Array.from({ length: sides }, () => params));
      const forwarded = under(config, "forward_client_cert_details");
      expect(forwarded).toEqual(inbound === undefined ? [] : ["SANITIZE_SET"]);
    }));
});
