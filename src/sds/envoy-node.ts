import type { Node } from "../wire/envoy/config/core/v3/base.ts";

/** How an Envoy checks peers: with the SPIFFE validator, or with one flat list of authorities. */
export type Validator = "spiffe" | "trusted-ca";

/** The node metadata key by which an Envoy chooses for itself; SPIRE's name (SPIRE-06). */
const overrideKey = "disable_spiffe_cert_validation";

/** What Go's strconv.ParseBool takes, because SPIRE parses the override with it (SPIRE-06). */
const goBooleans: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...["1", "t", "T", "TRUE", "true", "True", true].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False", false].map((text) => [text, false] as const),
]);

/**
 * The validator for one Envoy: SPIFFE's, unless the operator or the Envoy's own metadata switched it off, or the Envoy is
 * older than 1.18, which does not know it (SPIRE-05).
 */
export function validatorFor(node: Node | undefined, disabledByConfig: boolean): Validator {
  const disabled = goBooleans.get(overrideOf(node)) ?? disabledByConfig;
  return disabled || !knowsSpiffeValidator(node) ? "trusted-ca" : "spiffe";
}

function overrideOf(node: Node | undefined): unknown {
  const metadata = node?.metadata;
  return metadata !== undefined && Object.hasOwn(metadata, overrideKey)
    ? metadata[overrideKey]
    : undefined;
}

function knowsSpiffeValidator(node: Node | undefined): boolean {
  const agent = node?.userAgentVersionType;
  // A node that tells no structured version is taken for a recent one, as SPIRE does.
  const version = agent?.$case === "userAgentBuildVersion" ? agent.value.version : undefined;
  if (version === undefined) return true;
  return version.majorNumber > 1 || (version.majorNumber === 1 && version.minorNumber > 17);
}
