import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CompactEncrypt, calculateJwkThumbprint, exportJWK } from "jose";
import { freePort } from "../../demo/ports.ts";
import { Program } from "../../src/daemon/supervisor.ts";
import { onPath } from "../../tools/parts.mjs";
import type { WorldAuthority } from "./ca-world.ts";
import { run } from "./dev.ts";
import { keyPem, operatorsCa, pathLength, pemOf } from "./upstream-world.ts";

const module = fileURLToPath(new URL("../interop/step-ca", import.meta.url));
const year = 365 * 24 * 3_600_000;

/** The template that docs/operations.md gives operators. */
const template = `{
  "subject": {{ toJson .Subject }},
  "sans": {{ toJson .SANs }},
  "keyUsage": ["certSign", "crlSign"],
  "basicConstraints": {"isCA": true, "maxPathLen": 0}
}`;

export function stepCaIsThere(): boolean {
  return onPath("go") !== undefined;
}

/** Builds step-ca from the Go module proxy, against go.sum; the first time it takes some minutes. Resolves with its path. */
async function buildStepCa(folder: string): Promise<string> {
  const binary = join(folder, "step-ca");
  const what = "github.com/smallstep/certificates/cmd/step-ca";
  const args = ["build", "-C", module, "-mod=readonly", "-buildvcs=false", "-o", binary, what];
  const { status, stderr } = await run(onPath("go") ?? "", args, {
    ...process.env,
    CGO_ENABLED: "0",
  });
  if (status !== 0) throw new Error(`go ${args.join(" ")} failed: ${stderr}`);
  return binary;
}

/** A step-ca of its own, with a root, an intermediate, and two JWK provisioners: "herald" makes intermediates, "leaves" does not. */
export class StepCa {
  readonly folder: string;
  readonly root: WorldAuthority;
  readonly intermediate: WorldAuthority;
  readonly url: string;
  /** The provisioners' private JWK, as a file that only its owner reads. */
  readonly keyFile: string;
  /** The same, encrypted as step-ca keeps it, and its password. */
  readonly encrypted: { readonly keyFile: string; readonly passwordFile: string };
  readonly #program: Program;

  private constructor(
    pki: {
      readonly folder: string;
      readonly root: WorldAuthority;
      readonly intermediate: WorldAuthority;
    },
    port: number,
    binary: string,
  ) {
    this.folder = pki.folder;
    this.root = pki.root;
    this.intermediate = pki.intermediate;
    this.url = `https://127.0.0.1:${port}`;
    this.keyFile = join(this.folder, "provisioner.jwk");
    this.encrypted = {
      keyFile: join(this.folder, "provisioner.jwe"),
      passwordFile: join(this.folder, "password"),
    };
    this.#program = new Program({
      name: "step-ca",
      command: binary,
      args: [join(this.folder, "ca.json")],
      env: { ...process.env, STEPPATH: this.folder },
      logFile: join(this.folder, "step-ca.log"),
      isReady: (line) => line.includes("Serving HTTPS on"),
      restart: false,
    });
  }

  /** Builds and starts it. */
  static async start(): Promise<StepCa> {
    const folder = mkdtempSync(join(tmpdir(), "hs-"));
    const dates = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + year };
    const root = operatorsCa({ ...dates, notAfter: dates.notAfter + year });
    const intermediate = operatorsCa({ ...dates, parent: root, replace: pathLength(1) });
    const port = await freePort();
    const ca = new StepCa({ folder, root, intermediate }, port, await buildStepCa(folder));
    await ca.#write(port);
    await ca.#program.start();
    return ca;
  }

  /** SHA-256 of the root, as `step certificate fingerprint` prints it. */
  get fingerprint(): string {
    return createHash("sha256").update(this.root.der).digest("hex");
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #write(port: number): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = { ...(await exportJWK(publicKey)), use: "sig", alg: "ES256" };
    const kid = await calculateJwkThumbprint(key);
    const secret = JSON.stringify({ ...key, ...(await exportJWK(privateKey)), kid });
    const jwe = await new CompactEncrypt(Buffer.from(secret))
      .setProtectedHeader({ alg: "PBES2-HS256+A128KW", enc: "A256GCM", cty: "jwk+json" })
      .setKeyManagementParameters({ p2c: 100_000 })
      .encrypt(Buffer.from("correct horse"));
    const provisioner = {
      type: "JWK",
      key: { ...key, kid },
      claims: { maxTLSCertDuration: "876000h", defaultTLSCertDuration: "24h" },
    };
    const path = (name: string): string => join(this.folder, name);
    const files: Readonly<Record<string, string>> = {
      "root.crt": pemOf(this.root),
      "intermediate.crt": pemOf(this.intermediate),
      "intermediate.key": keyPem(this.intermediate),
      "provisioner.jwk": secret,
      "provisioner.jwe": jwe,
      password: "correct horse\n",
      "ca.json": JSON.stringify({
        root: path("root.crt"),
        crt: path("intermediate.crt"),
        key: path("intermediate.key"),
        address: `127.0.0.1:${port}`,
        dnsNames: ["127.0.0.1", "localhost"],
        logger: { format: "json" },
        authority: {
          provisioners: [
            { ...provisioner, name: "herald", options: { x509: { template } } },
            { ...provisioner, name: "leaves", key: { ...key, kid } },
          ],
        },
      }),
    };
    mkdirSync(this.folder, { recursive: true });
    for (const [name, text] of Object.entries(files))
      writeFileSync(path(name), text, { mode: 0o600 });
  }
}
