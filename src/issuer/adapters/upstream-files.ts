import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import { parsePem } from "../../core/x509/pem.ts";
import { reasonOf } from "../../kit/errors.ts";
import { IssuerError } from "../error.ts";

/** The operator's CA as it lies in a folder. */
export interface UpstreamMaterial {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  /** Everything else that lies there between it and a root, in any order. */
  readonly above: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  /** Of the bytes of all files: tells whether anything has changed. */
  readonly digest: string;
}

/** Which files hold what. */
interface Layout {
  readonly certificate: string;
  readonly key: string;
  readonly chain?: string;
  readonly anchors: string;
}

/** The layouts that other systems' users have already, told apart by the certificate's file. */
const layouts: readonly Layout[] = [
  // Istio's `cacerts`.
  {
    certificate: "ca-cert.pem",
    key: "ca-key.pem",
    chain: "cert-chain.pem",
    anchors: "root-cert.pem",
  },
  // A mounted secret of type kubernetes.io/tls: cert-manager's, Linkerd's, Istio's second form.
  { certificate: "tls.crt", key: "tls.key", anchors: "ca.crt" },
  // Linkerd's own issuer secret; its trust anchors are a config map with this one key.
  { certificate: "crt.pem", key: "key.pem", anchors: "ca-bundle.crt" },
];

/**
 * Reads a folder once, as it is now. What it gives fits together (each file whole, the key the certificate's); whether the chain
 * holds is not judged here.
 * @param anchorsFile in place of the layout's own
 * @throws IssuerError UPSTREAM_FILES, naming the file
 */
export async function readUpstreamFiles(
  dir: string,
  anchorsFile: string | undefined,
): Promise<UpstreamMaterial> {
  const layout = await layoutOf(dir);
  const hash = createHash("sha256");
  const read = async (path: string): Promise<string | undefined> => {
    const bytes = await contentOf(path);
    hash.update(`${path}\0${bytes?.length ?? -1}\0`).update(bytes ?? "");
    return bytes?.toString("utf8");
  };
  const paths = {
    certificate: join(dir, layout.certificate),
    key: join(dir, layout.key),
    chain: join(dir, layout.chain ?? layout.certificate),
    anchors: anchorsFile ?? join(dir, layout.anchors),
  };
  const [certificate, ...rest] = certificatesIn(
    paths.certificate,
    await mustHave(paths.certificate, read),
  );
  if (certificate === undefined) throw unusable(paths.certificate, "holds no certificate");
  const key = keyIn(paths.key, await mustHave(paths.key, read));
  if (!belongsTo(key, certificate))
    throw unusable(paths.key, `is not the key of ${paths.certificate}; put both there anew`);
  const chainText = layout.chain === undefined ? undefined : await read(paths.chain);
  const chain = chainText === undefined ? [] : certificatesIn(paths.chain, chainText);
  const anchorsText = await read(paths.anchors);
  if (anchorsText === undefined && !isSelfSigned(certificate))
    throw unusable(
      paths.anchors,
      "is missing: it holds the root that verifiers are to trust; put it there, or name it with upstream.trustAnchors",
    );
  return {
    certificate,
    key,
    above: [...rest, ...chain].filter((one) => !isSelfSigned(one) && !isSame(one, certificate)),
    anchors: anchorsText === undefined ? [certificate] : certificatesIn(paths.anchors, anchorsText),
    digest: hash.digest("hex"),
  };
}

async function layoutOf(dir: string): Promise<Layout> {
  const there: Layout[] = [];
  for (const layout of layouts)
    if ((await contentOf(join(dir, layout.certificate))) !== undefined) there.push(layout);
  const [layout, ...more] = there;
  if (layout !== undefined && more.length === 0) return layout;
  const names = (layout === undefined ? layouts : there).map(({ certificate }) => certificate);
  throw unusable(
    dir,
    layout === undefined
      ? `holds none of ${names.join(", ")}; put a CA there as Istio's cacerts or as a kubernetes.io/tls secret`
      : `holds ${names.join(" and ")}, and only one of them can be meant; remove the others`,
  );
}

async function mustHave(
  path: string,
  read: (path: string) => Promise<string | undefined>,
): Promise<string> {
  const text = await read(path);
  if (text === undefined) throw unusable(path, "is missing; put it beside the others");
  return text;
}

/** Undefined when there is no such file. */
async function contentOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw unusable(path, `cannot be read: ${reasonOf(cause)}`, cause);
  }
}

function certificatesIn(path: string, text: string): readonly Certificate[] {
  try {
    return parsePem("CERTIFICATE", text).map(parseCertificate);
  } catch (cause) {
    throw unusable(path, `is not whole, or no list of certificates: ${reasonOf(cause)}`, cause);
  }
}

function keyIn(path: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    // The cause stays out: it may quote the key.
    throw unusable(
      path,
      /ENCRYPTED/.test(text)
        ? "is encrypted; put it there unencrypted, on a file system for the issuer alone"
        : "is not whole, or no private key in PEM; put it there anew",
    );
  }
}

function belongsTo(key: KeyObject, certificate: Certificate): boolean {
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  return spki.equals(certificate.spki);
}

function isSelfSigned(one: Certificate): boolean {
  return Buffer.from(one.subject).equals(one.issuer);
}

function isSame(one: Certificate, other: Certificate): boolean {
  return Buffer.from(one.der).equals(other.der);
}

function unusable(path: string, what: string, cause?: unknown): IssuerError {
  return new IssuerError("UPSTREAM_FILES", `${path} ${what}`, { cause });
}
