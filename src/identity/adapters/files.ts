import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { base64, spiffeId, token, uint64 } from "../../core/envelope/fields.ts";
import { readIfThere, syncFolder, writeDurably } from "../../kit/adapters/durable-file.ts";
import { SealedFileError, seal, unseal } from "../../kit/adapters/sealed-file.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import { IdentityError } from "../error.ts";
import type {
  CachedSvid,
  ConsumerStore,
  IdentityStore,
  KeptIdentity,
  PendingKey,
  Processes,
  SvidCache,
} from "../ports.ts";

/** The node's folder: `identity.json` and keys (0600), `state/` for signed state, `svids/` for the workloads' SVIDs. */

const identityShape = z.strictObject({
  node: spiffeId,
  pin: z.string(),
  privateKey: base64,
  chain: z.array(base64).min(1),
  bus: z.strictObject({ servers: z.array(z.string()), brokerPins: z.array(z.string()) }),
  busSeed: base64,
});

/** The node's own key and SVID. One file, replaced as a whole, so that key and certificate always fit. */
export class IdentityFile implements IdentityStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async load(): Promise<KeptIdentity | undefined> {
    const bytes = await readIfThere(this.#path("identity.json"));
    if (bytes === undefined) return undefined;
    try {
      const kept = identityShape.parse(JSON.parse(bytes.toString("utf8")));
      return {
        ...kept,
        privateKey: importKey(kept.privateKey),
        chain: kept.chain.map(decode),
        busSeed: decode(kept.busSeed),
      };
    } catch (cause) {
      throw new IdentityError(
        "CACHE",
        `${this.#path("identity.json")} is damaged (${reasonOf(cause)}). Move it away and enrol this node again with a fresh join token`,
        { cause },
      );
    }
  }

  async save(identity: KeptIdentity): Promise<void> {
    const { node, pin, bus } = identity;
    const written = {
      node,
      pin,
      privateKey: exportKey(identity.privateKey),
      chain: identity.chain.map(encode),
      bus,
      busSeed: encode(identity.busSeed),
    };
    await writeDurably(this.#path("identity.json"), Buffer.from(JSON.stringify(written)));
  }

  async loadPending(): Promise<PendingKey | undefined> {
    const bytes = await readIfThere(this.#path("pending.key"));
    if (bytes === undefined) return undefined;
    try {
      return { privateKey: createPrivateKey({ key: bytes, format: "der", type: "pkcs8" }) };
    } catch {
      // Whatever was asked with a key that is lost cannot be asked again; a new key can always be asked for.
      return undefined;
    }
  }

  async savePending(pending: PendingKey | undefined): Promise<void> {
    const path = this.#path("pending.key");
    if (pending === undefined) await rm(path, { force: true });
    else await writeDurably(path, pending.privateKey.export({ format: "der", type: "pkcs8" }));
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

const svidShape = z.strictObject({
  entry: token,
  revision: uint64,
  spiffeId,
  chain: z.array(base64).min(1),
  privateKey: base64,
});

/** One file an entry, sealed when there is a key. A file that does not open is left out: after a reboot, say, the sealing key is another. */
export class SvidFolder implements SvidCache {
  readonly #folder: string;
  readonly #sealingKey: Uint8Array | undefined;
  readonly #log: Log;

  constructor(options: {
    readonly folder: string;
    readonly sealingKey: Uint8Array | undefined;
    readonly log: Log;
  }) {
    this.#folder = options.folder;
    this.#sealingKey = options.sealingKey;
    this.#log = options.log;
  }

  async load(): Promise<readonly CachedSvid[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(".svid"));
    const svids: CachedSvid[] = [];
    for (const name of names) {
      const svid = await this.#read(name);
      if (svid !== undefined) svids.push(svid);
    }
    return svids;
  }

  async save(svids: readonly CachedSvid[]): Promise<void> {
    await Promise.all(
      svids.map(async (svid) => {
        const name = fileOf(svid.entry);
        const { entry, revision, spiffeId } = svid;
        const plain = Buffer.from(
          JSON.stringify({
            entry,
            revision: String(revision),
            spiffeId,
            chain: svid.chain.map(encode),
            privateKey: encode(svid.privateKey),
          }),
        );
        await writeDurably(
          join(this.#folder, name),
          this.#sealingKey === undefined ? plain : seal(plain, this.#sealingKey, name),
        );
      }),
    );
  }

  async remove(entries: readonly string[]): Promise<void> {
    await Promise.all(
      entries.map((entry) => rm(join(this.#folder, fileOf(entry)), { force: true })),
    );
    await syncFolder(this.#folder);
  }

  async #read(name: string): Promise<CachedSvid | undefined> {
    const bytes = await readIfThere(join(this.#folder, name));
    if (bytes === undefined) return undefined;
    try {
      const plain = this.#sealingKey === undefined ? bytes : unseal(bytes, this.#sealingKey, name);
      const kept = svidShape.parse(JSON.parse(plain.toString("utf8")));
      return { ...kept, chain: kept.chain.map(decode), privateKey: decode(kept.privateKey) };
    } catch (thrown) {
      const isOtherKey = thrown instanceof SealedFileError;
      this.#log.warn(
        { file: name, reason: reasonOf(thrown) },
        isOtherKey
          ? "a cached SVID was sealed before a reboot; asking for a new one"
          : "a cached SVID is damaged; asking for a new one",
      );
      return undefined;
    }
  }
}

/** No cache at all: after a restart the node asks again. */
export const noCache: SvidCache = {
  load: () => Promise.resolve([]),
  save: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

/** A list of envelopes, or nothing, in one file. */
export class EnvelopeFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Damaged state is no reason to stop: it is read again from the bus. The high-water marks in it are lost then, and that is said. */
  async load(): Promise<readonly Uint8Array[]> {
    const bytes = await readIfThere(this.#path);
    return bytes === undefined
      ? []
      : bytes
          .toString("utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => Buffer.from(line, "utf8"));
  }

  async save(envelopes: readonly Uint8Array[]): Promise<void> {
    await writeDurably(
      this.#path,
      Buffer.concat(envelopes.flatMap((bytes) => [bytes, Buffer.from("\n")])),
    );
  }
}

/** What consumers were given, over restarts. */
export class ConsumerFile implements ConsumerStore {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async load(): Promise<Uint8Array | undefined> {
    return await readIfThere(this.#path);
  }

  async save(bytes: Uint8Array): Promise<void> {
    await writeDurably(this.#path, bytes);
  }
}

/** Start times out of /proc: field 22 of stat, in clock ticks since boot (proc(5)); the name before it may hold spaces and parentheses. */
export const linuxProcesses: Processes = {
  startOf(pid) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // A zombie holds nothing any more.
      return fields[0] === "Z" ? undefined : fields[19];
    } catch {
      return undefined;
    }
  },
};

function fileOf(entry: string): string {
  return `${entry}.svid`;
}

function importKey(written: string): KeyObject {
  return createPrivateKey({ key: decode(written), format: "der", type: "pkcs8" });
}

function exportKey(key: KeyObject): string {
  return key.export({ format: "der", type: "pkcs8" }).toString("base64");
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function decode(written: string): Buffer {
  return Buffer.from(written, "base64");
}
