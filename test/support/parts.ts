import { partPath, parts, envoySkipped as skipped } from "../../tools/parts.mjs";

/**
 * The Envoy to test with: `HERALD_ENVOY`, then PATH, then the pinned wheel.
 * @throws MissingPart, naming the cure. Suites that need Envoy say `describe.skipIf(envoySkipped())`.
 */
export function envoyPath(): string {
  return partPath(parts.envoy);
}

/** The nats-server to test with: `HERALD_NATS_SERVER`, then PATH, then the pinned wheel. @throws MissingPart */
export function natsServerPath(): string {
  return partPath(parts["nats-server"]);
}

/** Whether Envoy is left out on purpose (`HERALD_SKIP_ENVOY=1`); the summary of the run then says so loudly. */
export function envoySkipped(): boolean {
  return skipped();
}
