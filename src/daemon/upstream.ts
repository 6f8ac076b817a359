import { DiskUpstream } from "../issuer/adapters/disk-upstream.ts";
import type { UpstreamAuthority } from "../issuer/ports.ts";
import { selfSigned } from "../issuer/self-signed.ts";
import { systemClock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { IssuerConfig } from "./config.ts";

/** Opens what the configuration names. */
export function openUpstream(
  { upstream, trustDomain }: Pick<IssuerConfig, "upstream" | "trustDomain">,
  log: Log,
): UpstreamAuthority {
  switch (upstream.type) {
    case "self-signed":
    case "step-ca":
    case "vault":
      return selfSigned;
    case "disk":
      return new DiskUpstream({ ...upstream, trustDomain, clock: systemClock, log });
  }
}
