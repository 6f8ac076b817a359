import { z } from "zod";
import type { SecretSource } from "../kit/adapters/secret-source.ts";
import { field, path, section } from "./config-fields.ts";
import { type SecretPlace, secretPlace, secretSource } from "./secret-config.ts";

/** Where authorities are certified (docs/operations.md, "Upstream"). Paths are absolute. */
export type UpstreamConfig =
  | { readonly type: "self-signed" }
  | { readonly type: "disk"; readonly dir: string; readonly trustAnchors: string | undefined }
  | {
      readonly type: "step-ca";
      readonly url: string;
      /** SHA-256 of the root, lower-case hex. */
      readonly fingerprint: string;
      readonly provisioner: string;
      /** The provisioner's private JWK, or the encrypted one with its password. */
      readonly key: SecretSource;
      readonly password: SecretSource | undefined;
    }
  | {
      readonly type: "vault";
      readonly url: string;
      readonly mount: string;
      readonly issuer: string;
      readonly namespace: string | undefined;
      readonly token: SecretSource;
      /** Roots that the server's TLS certificate must lead to; undefined: the system's. */
      readonly caFile: string | undefined;
      /** Roots for verifiers, where the mount does not know them. */
      readonly trustAnchors: string | undefined;
    };

const url = field("an https:// URL, such as https://ca.example.org", (text) => {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    parsed?.protocol === "https:" && parsed.username + parsed.hash + parsed.search === "";
  return isPlain ? parsed.href.replace(/\/+$/, "") : undefined;
});
const fingerprint = field("the SHA-256 of the root, 64 hex digits", (text) => {
  const digits = text.replaceAll(":", "").toLowerCase();
  return /^[0-9a-f]{64}$/.test(digits) ? digits : undefined;
});
const word = field("a name", (text) => (/^[^\s/]{1,255}$/.test(text) ? text : undefined));
const mount = field("a path such as pki", (text) => {
  const trimmed = text.replace(/^\/+|\/+$/g, "");
  return /^[A-Za-z0-9_./-]{1,255}$/.test(trimmed) ? trimmed : undefined;
});

/** What a file says of the upstream. */
export type UpstreamSection =
  | { readonly type: "self-signed" }
  | { readonly type: "disk"; readonly dir: string; readonly trustAnchors?: string | undefined }
  | {
      readonly type: "step-ca";
      readonly url: string;
      readonly fingerprint: string;
      readonly provisioner: string;
      readonly key: SecretPlace;
      readonly password?: SecretPlace | undefined;
    }
  | {
      readonly type: "vault";
      readonly url: string;
      readonly mount: string;
      readonly issuer: string;
      readonly namespace?: string | undefined;
      readonly token: SecretPlace;
      readonly caFile?: string | undefined;
      readonly trustAnchors?: string | undefined;
    };

const choices = z.discriminatedUnion(
  "type",
  [
    section({ type: z.literal("self-signed") }),
    section({ type: z.literal("disk"), dir: path, trustAnchors: path.optional() }),
    section({
      type: z.literal("step-ca"),
      url,
      fingerprint,
      provisioner: field("the provisioner's name", (text) => (text === "" ? undefined : text)),
      key: secretPlace,
      password: secretPlace.optional(),
    }),
    section({
      type: z.literal("vault"),
      url,
      mount: mount.prefault("pki"),
      issuer: word.prefault("default"),
      namespace: mount.optional(),
      token: secretPlace,
      caFile: path.optional(),
      trustAnchors: path.optional(),
    }),
  ],
  { error: "must be a mapping with type: self-signed, disk, step-ca or vault" },
);

/** The section `upstream`; absent: each authority is its own root. */
export const upstreamSection: z.ZodType<UpstreamSection> = choices.prefault({
  type: "self-signed",
});

/** The section as the daemon uses it. */
export function upstreamConfig(
  upstream: UpstreamSection,
  at: (path: string) => string,
): UpstreamConfig {
  const file = (name: string | undefined): string | undefined =>
    name === undefined ? name : at(name);
  const secret = (place: SecretPlace): SecretSource => secretSource(place, at);
  switch (upstream.type) {
    case "self-signed":
      return upstream;
    case "disk":
      return { ...upstream, dir: at(upstream.dir), trustAnchors: file(upstream.trustAnchors) };
    case "step-ca": {
      const { key, password } = upstream;
      const passwordFrom = password === undefined ? undefined : secret(password);
      return { ...upstream, key: secret(key), password: passwordFrom };
    }
    case "vault": {
      const { token, caFile, trustAnchors, namespace } = upstream;
      return {
        ...upstream,
        namespace,
        token: secret(token),
        caFile: file(caFile),
        trustAnchors: file(trustAnchors),
      };
    }
  }
}
