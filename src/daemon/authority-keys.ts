import { DiskKeys } from "../issuer/adapters/disk-keys.ts";
import type { KeyFolder } from "../issuer/adapters/key-folder.ts";
import { MemoryKeys } from "../issuer/adapters/memory-keys.ts";
import { Pkcs11Keys } from "../issuer/adapters/pkcs11-keys.ts";
import { Pkcs11Token } from "../issuer/adapters/pkcs11-token.ts";
import type { AuthorityKeys } from "../issuer/ports.ts";
import { readSecretText } from "../kit/adapters/secret-source.ts";
import type { IssuerConfig } from "./config.ts";
import type { Opened } from "./shutdown.ts";

/** Opens the store that the configuration names. @throws IssuerError KEY_STORE, KEY_STORE_AWAY; SecretError */
export async function openAuthorityKeys(
  { keys, keyType }: Pick<IssuerConfig, "keys" | "keyType">,
  folder: KeyFolder,
  opened: Opened[],
): Promise<AuthorityKeys> {
  switch (keys.store) {
    case "disk":
      return new DiskKeys(folder, keyType);
    case "memory":
      return new MemoryKeys(keyType);
    case "pkcs11": {
      const { module, token: label, pin } = keys;
      const token = await Pkcs11Token.open({
        module,
        token: label,
        pin: () => readSecretText(pin, process.env),
      });
      opened.push({ name: "token", close: () => token.close() });
      return new Pkcs11Keys(token, keyType);
    }
  }
}
