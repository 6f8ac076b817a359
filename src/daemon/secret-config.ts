import type { z } from "zod";
import type { SecretSource } from "../kit/adapters/secret-source.ts";
import { field, path, section } from "./config-fields.ts";

/** How configuration files name the places that secrets are read from; a secret itself never stands in one. */

/** A place that a secret is read from, as a file says it. */
export interface SecretPlace {
  readonly file?: string | undefined;
  readonly env?: string | undefined;
  readonly credential?: string | undefined;
}

const name = field("a name", (text) => (/^[A-Za-z0-9_.-]{1,255}$/.test(text) ? text : undefined));

/** `{file: PATH}`, `{env: NAME}` or `{credential: NAME}`. */
export const secretPlace: z.ZodType<SecretPlace> = section({
  file: path.optional(),
  env: name.optional(),
  credential: name.optional(),
}).superRefine((place, context) => {
  if (Object.values(place).filter((one) => one !== undefined).length === 1) return;
  const message = "must have exactly one of file, env and credential";
  context.addIssue({ code: "custom", message });
});

/** The source, with its path made absolute by `at`. */
export function secretSource(place: SecretPlace, at: (path: string) => string): SecretSource {
  if (place.file !== undefined) return { from: "file", path: at(place.file) };
  if (place.env !== undefined) return { from: "env", name: place.env };
  return { from: "credential", name: place.credential ?? "" };
}
