import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { type EnvelopeSigner, openEnvelope, sealEnvelope } from "../core/envelope/envelope.ts";
import { controlKey } from "../core/envelope/object-keys.ts";
import { keyIdOf } from "../core/envelope/pae.ts";
import { controlSigner, rootSigner, spkiOf } from "../core/envelope/signers.ts";
import { ControlTrust } from "../core/envelope/trust.ts";
import { parseSpiffeId, type SpiffeId, type TrustDomain } from "../core/spiffe/spiffe-id.ts";
import { KeyFolder } from "../issuer/adapters/key-folder.ts";
import { readIfThere, writeDurably } from "../kit/adapters/durable-file.ts";
import { sealingKey } from "../kit/adapters/sealed-file.ts";
import { readSecretKey, type SecretSource } from "../kit/adapters/secret-source.ts";
import type { Clock } from "../kit/clock.ts";
import { HeraldError, reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";

export type StateFolderErrorCode =
  | "NOT_INITIALISED"
  | "ALREADY_INITIALISED"
  | "CONTROL_CERTIFICATE"
  | "IN_USE"
  | "DAMAGED";

/** What is wrong with an issuer's state folder. */
export class StateFolderError extends HeraldError<StateFolderErrorCode> {}

const certificateLifeMs = 30 * 24 * 3_600_000;

/** An online root certifies anew this long before the end; an offline one is asked for by an alarm (protocol.md: 7 days). */
const renewBeforeMs = 10 * 24 * 3_600_000;
const alarmBeforeMs = 7 * 24 * 3_600_000;

/** The names of the files in an issuer's state folder. */
export const stateFiles = {
  sealingKey: "keys/sealing.key",
  keys: "keys",
  rootPublic: "root.pub",
  certificate: "control.cert",
  epoch: "epoch",
  issuerName: "issuer.name",
  journal: "journal",
} as const;

/** What an issuer speaks with: its control key, certified, and what its root says. */
export interface ControlKeys {
  readonly issuer: SpiffeId;
  readonly trust: ControlTrust;
  readonly signer: EnvelopeSigner;
  readonly epoch: { readonly bytes: Uint8Array; readonly number: bigint };
  readonly keys: KeyFolder;
  /** Certifies the control key anew when it is time and the root is at hand; true when it did. @throws StateFolderError CONTROL_CERTIFICATE once it has ended */
  renewCertificate(): Promise<boolean>;
}

/** Makes the control root, the control key and the first epoch. @throws StateFolderError ALREADY_INITIALISED, SecretError */
export async function createControlKeys(
  dir: string,
  trustDomain: TrustDomain,
  { clock, sealing }: { readonly clock: Clock; readonly sealing?: SecretSource | undefined },
): Promise<{ readonly pin: string; readonly issuer: SpiffeId }> {
  if ((await readIfThere(join(dir, stateFiles.rootPublic))) !== undefined) {
    throw new StateFolderError(
      "ALREADY_INITIALISED",
      `${dir} already holds a control root; choose another folder, or remove this one if nothing trusts it`,
    );
  }
  const keys = new KeyFolder(join(dir, stateFiles.keys), await keyThatSeals(dir, sealing));
  const root = generateKeyPairSync("ed25519").privateKey;
  const control = generateKeyPairSync("ed25519").privateKey;
  const issuer = parseSpiffeId(
    `spiffe://${trustDomain}/herald/issuer/${keyIdOf(spkiOf(control)).slice(0, 16)}`,
  );
  const epoch = await sealEnvelope(
    "epoch",
    {
      td: trustDomain,
      at: clock.now(),
      key: controlKey,
      version: { epoch: 1n, term: 0n, seq: 1n },
      revokedKeys: [],
    },
    rootSigner(root),
  );
  await keys.save("root", root);
  await keys.save("control", control);
  await writeDurably(join(dir, stateFiles.epoch), epoch.bytes);
  await writeDurably(join(dir, stateFiles.issuerName), Buffer.from(issuer));
  await writeCertificate(dir, {
    trustDomain,
    issuer,
    root: rootSigner(root),
    control: spkiOf(control),
    now: clock.now(),
  });
  // Last: this file says that all others are there.
  await writeDurably(join(dir, stateFiles.rootPublic), spkiOf(root), 0o644);
  return { pin: keyIdOf(spkiOf(root)), issuer };
}

/** Opens them; certifies the control key anew when its certificate nears its end and the root is at hand. @throws StateFolderError */
export async function openControlKeys(
  dir: string,
  trustDomain: TrustDomain,
  parts: {
    readonly clock: Clock;
    readonly log: Log;
    /** Undefined: the state folder's own. */
    readonly sealing?: SecretSource | undefined;
  },
): Promise<ControlKeys> {
  const { clock, log, sealing } = parts;
  const rootPublic = await mustRead(dir, stateFiles.rootPublic);
  // Asked for by name first: a new sealing key would be made in its place, which opens nothing.
  if (sealing === undefined) await mustRead(dir, stateFiles.sealingKey);
  const keys = new KeyFolder(join(dir, stateFiles.keys), await keyThatSeals(dir, sealing));
  const control = await undamaged(dir, "keys/control.key", () => keys.load("control"));
  if (control === undefined) throw notInitialised(dir, "keys/control.key");
  const pin = keyIdOf(
    createPublicKey({ key: rootPublic, format: "der", type: "spki" }).export({
      format: "der",
      type: "spki",
    }),
  );
  const trust = new ControlTrust({ trustDomain, pin });
  const issuer = parseSpiffeId((await mustRead(dir, stateFiles.issuerName)).toString("utf8"));
  const epochBytes = await mustRead(dir, stateFiles.epoch);
  const epoch = await undamaged(dir, stateFiles.epoch, () =>
    openEnvelope(epochBytes, ["epoch"], trust.atAnyTime()),
  );
  const facts = { dir, keys, trust, issuer, control: spkiOf(control), clock, log };
  let signer = controlSigner(control, await currentCertificate(facts));
  return {
    issuer,
    trust,
    signer: {
      keyId: signer.keyId,
      alg: signer.alg,
      get accompanied() {
        return signer.accompanied;
      },
      sign: (bytes) => signer.sign(bytes),
    },
    async renewCertificate() {
      const renewed = controlSigner(control, await currentCertificate(facts));
      const isNew = renewed.accompanied.certificate !== signer.accompanied.certificate;
      signer = renewed;
      return isNew;
    },
    epoch: { bytes: epochBytes, number: epoch.payload.version.epoch },
    keys,
  };
}

/** The state folder's own key, made when there is none; or the operator's, which is never made here. */
async function keyThatSeals(dir: string, sealing: SecretSource | undefined): Promise<Uint8Array> {
  return sealing === undefined
    ? await sealingKey(join(dir, stateFiles.sealingKey))
    : await readSecretKey(sealing, process.env);
}

async function currentCertificate(facts: {
  readonly dir: string;
  readonly keys: KeyFolder;
  readonly trust: ControlTrust;
  readonly issuer: SpiffeId;
  readonly control: Uint8Array;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Uint8Array> {
  const { dir, keys, trust, issuer, control, clock, log } = facts;
  const held = await mustRead(dir, stateFiles.certificate);
  const { payload } = await undamaged(dir, stateFiles.certificate, () =>
    openEnvelope(held, ["control"], trust.atAnyTime()),
  );
  const left = payload.notAfter - clock.now();
  if (left > renewBeforeMs) return held;
  const root = await keys.load("root");
  if (root !== undefined)
    return await writeCertificate(dir, {
      trustDomain: trust.trustDomain,
      issuer,
      root: rootSigner(root),
      control,
      now: clock.now(),
    });
  const days = Math.floor(left / 86_400_000);
  if (left <= 0) {
    throw new StateFolderError(
      "CONTROL_CERTIFICATE",
      `the control certificate in ${dir} has ended and the root is offline; bring keys/root.key back and restart`,
    );
  }
  if (left < alarmBeforeMs)
    log.error(
      { alarm: "root-needed", days },
      "the offline control root is needed: the control certificate ends soon",
    );
  return held;
}

async function writeCertificate(
  dir: string,
  facts: {
    readonly trustDomain: TrustDomain;
    readonly issuer: SpiffeId;
    readonly root: EnvelopeSigner;
    readonly control: Uint8Array;
    readonly now: number;
  },
): Promise<Uint8Array> {
  const { trustDomain: td, issuer, now } = facts;
  const publicKey = Buffer.from(facts.control).toString("base64");
  // Some minutes back: nodes' clocks may be behind this one.
  const payload = {
    td,
    at: now,
    issuer,
    publicKey,
    notBefore: now - 600_000,
    notAfter: now + certificateLifeMs,
  };
  const { bytes } = await sealEnvelope("control", payload, facts.root);
  await writeDurably(join(dir, stateFiles.certificate), bytes);
  return bytes;
}

/** What `read` gives. @throws StateFolderError DAMAGED, naming the file */
async function undamaged<T>(dir: string, name: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new StateFolderError(
      "DAMAGED",
      `${join(dir, name)} is damaged: ${reasonOf(cause)}; restore the state folder from a backup`,
      { cause },
    );
  }
}

async function mustRead(dir: string, name: string): Promise<Buffer> {
  const bytes = await readIfThere(join(dir, name));
  if (bytes === undefined) throw notInitialised(dir, name);
  return bytes;
}

function notInitialised(dir: string, name: string): StateFolderError {
  return new StateFolderError(
    "NOT_INITIALISED",
    `${dir} lacks ${name}: it is no issuer's state folder, or not a whole one; restore it from a backup, or make a new one with \`herald init --dir ${dir}\``,
  );
}
