import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HeraldError, reasonOf } from "../errors.ts";

/** Where a secret comes from: a file, an environment variable, or a systemd credential (systemd.exec(5), LoadCredential=). */
export type SecretSource =
  | { readonly from: "file"; readonly path: string }
  | { readonly from: "env"; readonly name: string }
  | { readonly from: "credential"; readonly name: string };

type SecretErrorCode =
  /** The file, variable or credential is not there, cannot be read, or is empty. */
  | "SECRET_MISSING"
  /** Everybody on the machine may read it. */
  | "SECRET_EXPOSED"
  /** It is there, and not of the form that is needed. */
  | "SECRET_FORM";

/** A secret that cannot be had, or must not be used. Its text names the source, never the secret. */
class SecretError extends HeraldError<SecretErrorCode> {}

type Environment = Readonly<Record<string, string | undefined>>;

/** The source as messages name it. */
function nameOfSource(source: SecretSource): string {
  switch (source.from) {
    case "file":
      return source.path;
    case "env":
      return `$${source.name}`;
    case "credential":
      return `the systemd credential ${source.name}`;
  }
}

/** The secret's bytes as they stand there. @throws SecretError SECRET_MISSING, SECRET_EXPOSED */
export async function readSecret(source: SecretSource, env: Environment): Promise<Buffer> {
  const bytes = await bytesOf(source, env);
  if (bytes.length === 0) throw missing(source, "is empty; put the secret there");
  return bytes;
}

/** A secret that is one line of text, such as a PIN, a token or a password; the line's end is not part of it. @throws SecretError */
export async function readSecretText(source: SecretSource, env: Environment): Promise<string> {
  const text = (await readSecret(source, env)).toString("utf8").replace(/\r?\n$/, "");
  if (text === "" || /[\r\n]/.test(text))
    throw new SecretError("SECRET_FORM", `${nameOfSource(source)} is not one line of text`);
  return text;
}

/** A key of 32 bytes: as they are, in hex, or in base64. @throws SecretError */
export async function readSecretKey(source: SecretSource, env: Environment): Promise<Buffer> {
  const bytes = await readSecret(source, env);
  if (bytes.length === 32) return bytes;
  const text = bytes.toString("latin1").trim();
  const key = /^[0-9a-fA-F]{64}$/.test(text)
    ? Buffer.from(text, "hex")
    : Buffer.from(/^[A-Za-z0-9+/]{43}=$/.test(text) ? text : "", "base64");
  if (key.length === 32) return key;
  throw new SecretError(
    "SECRET_FORM",
    `${nameOfSource(source)} is no key of 32 bytes; make one with \`openssl rand -hex 32\``,
  );
}

async function bytesOf(source: SecretSource, env: Environment): Promise<Buffer> {
  switch (source.from) {
    case "file":
      return await fromFile(source, source.path);
    case "env": {
      const value = env[source.name];
      if (value === undefined) throw missing(source, "is not set; set it for this service");
      return Buffer.from(value, "utf8");
    }
    case "credential": {
      const folder = env["CREDENTIALS_DIRECTORY"];
      if (folder === undefined || folder === "")
        throw missing(
          source,
          "is not there, for $CREDENTIALS_DIRECTORY is not set; add LoadCredential= or LoadCredentialEncrypted= to the unit",
        );
      return await fromFile(source, join(folder, source.name));
    }
  }
}

async function fromFile(source: SecretSource, path: string): Promise<Buffer> {
  try {
    const { mode } = await stat(path);
    // A group may be let in on purpose: systemd and Kubernetes do so for the service's own.
    if ((mode & 0o007) !== 0)
      throw new SecretError(
        "SECRET_EXPOSED",
        `${nameOfSource(source)} may be read by everybody on this machine (mode ${(mode & 0o777).toString(8)}); chmod 0600 it, and replace what is in it`,
      );
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof SecretError) throw cause;
    throw missing(source, `cannot be read: ${reasonOf(cause)}`, cause);
  }
}

function missing(source: SecretSource, what: string, cause?: unknown): SecretError {
  return new SecretError("SECRET_MISSING", `${nameOfSource(source)} ${what}`, { cause });
}
