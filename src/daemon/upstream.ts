import { readFile } from "node:fs/promises";
import { DiskUpstream } from "../issuer/adapters/disk-upstream.ts";
import { StepCaUpstream } from "../issuer/adapters/step-ca-upstream.ts";
import { VaultUpstream } from "../issuer/adapters/vault-upstream.ts";
import { selfSigned } from "../issuer/authorities/self-signed.ts";
import type { UpstreamAuthority } from "../issuer/ports.ts";
import { readSecret, readSecretText, type SecretSource } from "../kit/adapters/secret-source.ts";
import { systemClock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import { systemRandom } from "../kit/random.ts";
import type { IssuerConfig } from "./config.ts";

/** Opens what the configuration names. Rejects when a file that it names cannot be read. */
export async function openUpstream(
  { upstream, trustDomain }: Pick<IssuerConfig, "upstream" | "trustDomain">,
  log: Log,
): Promise<UpstreamAuthority> {
  switch (upstream.type) {
    case "self-signed":
      return selfSigned;
    case "disk":
      return new DiskUpstream({ ...upstream, trustDomain, clock: systemClock, log });
    case "step-ca": {
      const { password } = upstream;
      return new StepCaUpstream({
        ...upstream,
        // A JWK may be written over several lines.
        key: async () => (await readSecret(upstream.key, process.env)).toString("utf8"),
        password: password && text(password),
        trustDomain,
        clock: systemClock,
        random: systemRandom,
      });
    }
    case "vault": {
      const { caFile, trustAnchors } = upstream;
      return new VaultUpstream({
        ...upstream,
        token: text(upstream.token),
        ca: caFile === undefined ? undefined : [await readFile(caFile, "utf8")],
        trustAnchors: trustAnchors === undefined ? undefined : () => readFile(trustAnchors, "utf8"),
        trustDomain,
      });
    }
  }
}

function text(source: SecretSource): () => Promise<string> {
  return () => readSecretText(source, process.env);
}
