import type { z } from "zod";
import type { KeyType } from "../core/x509/key-type.ts";
import type { SecretSource } from "../kit/adapters/secret-source.ts";
import { field, oneOf, path, section } from "./config-fields.ts";
import { type SecretPlace, secretPlace, secretSource } from "./secret-config.ts";

/** Where authorities' keys live (docs/operations.md, "Keys"). */
export type KeysConfig =
  | {
      readonly store: "disk" | "memory";
      /** Seals every key in the state folder; undefined: `keys/sealing.key` there. */
      readonly sealingKey: SecretSource | undefined;
    }
  | {
      readonly store: "pkcs11";
      /** Seals the control key in the state folder. */
      readonly sealingKey: SecretSource | undefined;
      /** Absolute path of the token's library. */
      readonly module: string;
      /** The token's label. */
      readonly token: string;
      readonly pin: SecretSource;
    };

interface KeysSection {
  readonly store: KeysConfig["store"];
  readonly sealingKey?: SecretPlace | undefined;
  readonly module?: string | undefined;
  readonly token?: string | undefined;
  readonly pin?: SecretPlace | undefined;
}

const pkcs11Keys = ["module", "token", "pin"] as const;

/** The section `keys`; absent: sealed files. */
export const keysSection: z.ZodType<KeysSection> = section({
  store: oneOf("disk", "memory", "pkcs11").default("disk"),
  sealingKey: secretPlace.optional(),
  module: path.optional(),
  token: field("the token's label", (text) => (text === "" ? undefined : text)).optional(),
  pin: secretPlace.optional(),
})
  .prefault({})
  .superRefine((keys, context) => {
    for (const key of pkcs11Keys) {
      const isThere = keys[key] !== undefined;
      if (isThere === (keys.store === "pkcs11")) continue;
      const message = isThere
        ? "is for store: pkcs11; set that, or remove this"
        : "is missing; store: pkcs11 needs module, token and pin";
      context.addIssue({ code: "custom", path: [key], message });
    }
  });

/** `keyType`, of authorities to come. */
export const keyType: z.ZodType<KeyType> = oneOf("ec-p256", "ec-p384").prefault("ec-p256");

/** The section as the daemon uses it. */
export function keysConfig(keys: KeysSection, at: (path: string) => string): KeysConfig {
  const { store, module, token, pin } = keys;
  const sealingKey = keys.sealingKey === undefined ? undefined : secretSource(keys.sealingKey, at);
  if (store !== "pkcs11") return { store, sealingKey };
  return {
    store,
    sealingKey,
    module: at(module ?? ""),
    token: token ?? "",
    pin: secretSource(pin ?? {}, at),
  };
}
