import { describe, expect, test } from "vitest";
import type { Validator } from "../../src/sds/envoy-node.ts";
import { validatorFor } from "../../src/sds/envoy-node.ts";
import type { Found, SecretCatalogOptions } from "../../src/sds/secrets.ts";
import { Node } from "../../src/wire/envoy/config/core/v3/base.ts";
import { Secret } from "../../src/wire/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { SPIFFECertValidatorConfig } from "../../src/wire/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts";
import { DiscoveryResponse } from "../../src/wire/envoy/service/discovery/v3/discovery.ts";
import { bundle, catalog, der, own, passAll, svid, view } from "./support/views.ts";

const fed = "partner.test";
const federated = view({
  svids: [svid("web", "a1"), svid("api", "b1")],
  bundles: [bundle(own, 1), bundle(fed, 3), bundle("a.test", 2)],
});

interface Ask extends Partial<SecretCatalogOptions> {
  readonly validator?: Validator;
  readonly trusted?: boolean;
  readonly now?: number;
}

function find(name: string, ask: Ask = {}, from = federated): Found {
  const { validator = "spiffe", trusted = false, now = 0, ...options } = ask;
  return catalog(options).snapshot(from).find(name, { validator, trusted, now });
}

/** The Secret as Envoy would read it. */
function secret(name: string, ask: Ask = {}, from = federated): Secret {
  const found = find(name, ask, from);
  expect(found).toMatchObject({ kind: "secret" });
  if (found.kind !== "secret") return Secret.fromPartial({});
  const [any] = DiscoveryResponse.decode(found.secret.resource).resources;
  return Secret.decode(any?.value ?? Buffer.alloc(0));
}

/** Trust domains of a SPIFFE validator context with their PEM. */
function domains(
  name: string,
  ask: Ask = {},
  from = federated,
): readonly (readonly [string, string])[] {
  const { type } = secret(name, ask, from);
  if (type?.$case !== "validationContext") return [];
  expect(type.value.trustedCa).toBeUndefined();
  expect(type.value.customValidatorConfig?.name).toBe("envoy.tls.cert_validator.spiffe");
  const config = type.value.customValidatorConfig?.typedConfig?.value ?? Buffer.alloc(0);
  return SPIFFECertValidatorConfig.decode(config).trustDomains.map((one) => [
    one.name,
    text(one.trustBundle?.specifier),
  ]);
}

function text(specifier: { readonly $case: string; readonly value: unknown } | undefined): string {
  return specifier?.$case === "inlineBytes" ? String(specifier.value) : "";
}

const pem = (label: string, content: string): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der(content)).toString("base64")}\n-----END ${label}-----\n`;

describe("names", () => {
  test.for([
    ["default", "tlsCertificate"],
    [`spiffe://${own}/api`, "tlsCertificate"],
    ["ROOTCA", "validationContext"],
    ["ALL", "validationContext"],
    [`spiffe://${own}`, "validationContext"],
    [`spiffe://${fed}`, "validationContext"],
  ] as const)(
    "SPIRE-02 SPIRE-03 SDS-01 %s is a %s under the very name asked for",
    ([name, kind]) => {
      const got = secret(name);
      expect([got.name, got.type?.$case]).toEqual([name, kind]);
    },
  );

  test.for([
    "",
    "Default",
    `spiffe://${own}/`,
    `spiffe://${own}/other`,
    "spiffe://unknown.test",
    `${own}`,
  ])("%j stands for nothing", (name) => {
    expect(find(name)).toMatchObject({ kind: "absent", reason: "unknown" });
  });

  test("SPIRE-03 with equal aliases the own bundle wins", () => {
    const names = { svid: "default", bundle: "X", allBundles: "X" };
    expect(domains("X", { names }).map(([name]) => name)).toEqual([own]);
  });

  test("SPIRE-03 OpenShift's names: ROOTCA is all bundles, null the own one", () => {
    const names = { svid: "default", bundle: "null", allBundles: "ROOTCA" };
    expect(domains("ROOTCA", { names }).length).toBe(3);
    expect(domains("null", { names }).length).toBe(1);
  });

  test("an empty alias is switched off", () => {
    const names = { svid: "default", bundle: "ROOTCA", allBundles: "" };
    expect(find("", { names })).toMatchObject({ kind: "absent" });
  });

  test("SPIRE-11 without an identity nothing is shown, or the own bundle only where that is allowed", () => {
    const none = view({ bundles: [bundle(own, 1), bundle(fed, 3)] });
    expect(find("ROOTCA", {}, none)).toMatchObject({ kind: "absent", reason: "unknown" });
    const allowed = { verifiersWithoutIdentity: true };
    expect(domains("ALL", allowed, none).map(([name]) => name)).toEqual([own]);
    expect(find(`spiffe://${fed}`, allowed, none)).toMatchObject({ kind: "absent" });
  });

  test("XDS-08 of two SVIDs with one SPIFFE ID the first is served", () => {
    const twice = view({ svids: [svid("web", "a1"), svid("web", "a2")] });
    expect(find(`spiffe://${own}/web`, {}, twice)).toMatchObject({
      secret: { source: { serial: "a1" } },
    });
    expect(catalog().snapshot(twice).everything.length).toBe(2);
  });
});

describe("content", () => {
  test("SDS-02 EF-41 an SVID is key and chain in one Secret, a PEM block for each certificate, leaf first", () => {
    const { type } = secret("default");
    if (type?.$case !== "tlsCertificate") throw new TypeError("no certificate");
    expect(text(type.value.certificateChain?.specifier)).toBe(
      pem("CERTIFICATE", "leaf web a1") + pem("CERTIFICATE", "intermediate"),
    );
    expect(text(type.value.privateKey?.specifier)).toBe(pem("PRIVATE KEY", "key web a1"));
  });

  test("SPIRE-04 the SPIFFE validator by default, its domains sorted by name", () => {
    expect(domains("ALL")).toEqual([
      ["a.test", pem("CERTIFICATE", "a.test root 2")],
      [own, pem("CERTIFICATE", `${own} root 1`)],
      [fed, pem("CERTIFICATE", `${fed} root 3`)],
    ]);
  });

  test("SDS-10 a bundle carries trust and no matchers", () => {
    const { type } = secret("ROOTCA");
    expect(type?.$case === "validationContext" && type.value.matchTypedSubjectAltNames).toEqual([]);
  });

  test("SPIRE-05 SDS-03 the fallback is trusted_ca alone", () => {
    const { type } = secret("ROOTCA", { validator: "trusted-ca" });
    if (type?.$case !== "validationContext") throw new TypeError("no context");
    expect(text(type.value.trustedCa?.specifier)).toBe(pem("CERTIFICATE", `${own} root 1`));
    expect(type.value.customValidatorConfig).toBeUndefined();
  });

  test("SPIRE-05 EF-24 several domains are never flattened into one list", () => {
    expect(find("ALL", { validator: "trusted-ca" })).toMatchObject({
      kind: "impossible",
      error: { code: "VALIDATOR_NEEDED" },
    });
  });

  test("SDS-04 DELTA-09 the same content gives the same bytes and version, another key another version", () => {
    const versionOf = (ask: Ask) => {
      const found = find("ALL", ask);
      return found.kind === "secret"
        ? [found.secret.version, found.secret.resource.toString("hex")]
        : [];
    };
    expect(versionOf({})).toEqual(versionOf({}));
    expect(versionOf({ versionKey: Buffer.alloc(32, 8) })[0]).not.toBe(versionOf({})[0]);
  });

  test("a secret is encoded once for all who ask, and checked once", () => {
    let checks = 0;
    const check = { ...passAll, svid: () => ((checks += 1), undefined) };
    const shared = catalog({ check });
    const other = view({ svids: [...federated.svids], bundles: [...federated.bundles.values()] });
    const [left, right] = [federated, other].map((one) =>
      shared.snapshot(one).find("default", { validator: "spiffe", trusted: false, now: 0 }),
    );
    expect(
      left?.kind === "secret" && right?.kind === "secret" && left.secret === right.secret,
    ).toBe(true);
    expect(checks).toBe(1);
  });
});

describe("what is never sent", () => {
  test("SDS-05 EF-26 a secret that its check refuses, until it passes", () => {
    let fault: string | undefined = "key does not match";
    const shared = catalog({ check: { ...passAll, svid: () => fault } });
    const look = () =>
      shared.snapshot(federated).find("default", { validator: "spiffe", trusted: false, now: 0 });
    expect(look()).toEqual({ kind: "absent", reason: "held", detail: "key does not match" });
    fault = undefined;
    expect(look()).toMatchObject({ kind: "secret" });
  });

  test("SDS-05 an SVID without the bundle that its peers need", () => {
    expect(
      find("default", {}, view({ svids: [svid("web", "a1")], bundles: [bundle(fed, 3)] })),
    ).toMatchObject({
      reason: "held",
    });
  });

  test("EF-26 a context without authorities", () => {
    const empty = view({ svids: [svid("web", "a1")], bundles: [bundle(own, 1, [])] });
    for (const name of ["ROOTCA", "ALL", `spiffe://${own}`]) {
      expect(find(name, {}, empty)).toMatchObject({ kind: "absent", reason: "held" });
    }
  });

  test("EDGE-17 ALL goes on without a domain that emptied, left, or does not pass the check", () => {
    const emptied = view({
      svids: [...federated.svids],
      bundles: [bundle(own, 1), bundle(fed, 4, [])],
    });
    expect(domains("ALL", {}, emptied).map(([name]) => name)).toEqual([own]);
    const check = {
      ...passAll,
      bundle: (one: { readonly trustDomain: string }) =>
        one.trustDomain === fed ? "bad" : undefined,
    };
    expect(domains("ALL", { check }).map(([name]) => name)).toEqual(["a.test", own]);
    expect(find(`spiffe://${fed}`, { check })).toMatchObject({ reason: "held", detail: "bad" });
  });
});

describe("EDGE-17 OQ-3 trust that was taken back", () => {
  const nobody = der("a CA that nobody has the key of");
  const gone = view({ svids: [...federated.svids] });
  const fedName = `spiffe://${fed}`;

  test("an emptied domain trusts nobody", () => {
    const emptied = view({
      svids: [...federated.svids],
      bundles: [bundle(own, 1), bundle(fed, 4, [])],
    });
    const expected = [[fed, pem("CERTIFICATE", "a CA that nobody has the key of")]];
    expect(domains(fedName, { nobody }, emptied)).toEqual(expected);
    expect(find(fedName, { nobody }, emptied)).toMatchObject({
      secret: { source: { sequences: new Map([[fed, 4n]]) } },
    });
  });

  test("a domain that left trusts nobody, for those who were told to trust it", () => {
    const expected = [[fed, pem("CERTIFICATE", "a CA that nobody has the key of")]];
    expect(domains(fedName, { nobody, trusted: true }, gone)).toEqual(expected);
    expect(find(fedName, { nobody, trusted: false }, gone)).toMatchObject({ kind: "absent" });
  });

  test("the own domain, and a caller who merely lost its identity, keep what they have", () => {
    const lost = view({ bundles: [bundle(own, 1)] });
    expect(find(fedName, { nobody, trusted: true }, lost)).toMatchObject({ kind: "absent" });
    const bare = view({ svids: [...federated.svids], bundles: [bundle(fed, 3)] });
    expect(find(`spiffe://${own}`, { nobody, trusted: true }, bare)).toMatchObject({
      kind: "absent",
    });
    const unsynced = view({ svids: [...federated.svids], synced: false });
    expect(find(fedName, { nobody, trusted: true }, unsynced)).toMatchObject({
      reason: "unsynced",
    });
  });
});

describe("SPIRE-05 SPIRE-06 EDGE-19 which validator an Envoy gets", () => {
  const version = (majorNumber: number, minorNumber: number) =>
    Node.fromPartial({
      userAgentName: "envoy",
      userAgentVersionType: {
        $case: "userAgentBuildVersion",
        value: { version: { majorNumber, minorNumber, patch: 0 } },
      },
    });
  const override = (value: unknown) =>
    Node.fromPartial({ metadata: { disable_spiffe_cert_validation: value } });

  test.for([
    ["no node", undefined, "spiffe"],
    ["no version", Node.fromPartial({ userAgentName: "envoy" }), "spiffe"],
    [
      "a gRPC client",
      Node.fromPartial({
        userAgentName: "gRPC Go",
        userAgentVersionType: { $case: "userAgentVersion", value: "1.0" },
      }),
      "spiffe",
    ],
    ["1.40", version(1, 40), "spiffe"],
    ["1.18", version(1, 18), "spiffe"],
    ["1.17", version(1, 17), "trusted-ca"],
    ["0.99", version(0, 99), "trusted-ca"],
    ["2.0", version(2, 0), "spiffe"],
  ] as const)("%s", ([, node, expected]) => {
    expect(validatorFor(node, false)).toBe(expected);
    expect(validatorFor(node, true)).toBe("trusted-ca");
  });

  test.for([
    [true, true, "trusted-ca"],
    [false, true, "spiffe"],
    ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, false, "trusted-ca"] as const),
    ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, true, "spiffe"] as const),
    ["tRUE", true, "trusted-ca"],
    ["yes", false, "spiffe"],
    [1, false, "spiffe"],
    [null, true, "trusted-ca"],
  ] as const)("metadata %j over config %j", ([value, config, expected]) => {
    expect(validatorFor(override(value), config)).toBe(expected);
    expect(validatorFor(Node.decode(Node.encode(override(value)).finish()), config)).toBe(expected);
  });
});
