import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { type AuthorityPath, authorityPath, hasRoomBelow } from "../../core/svid/authority-path.ts";
import { createIntermediate } from "../../core/x509/authority.ts";
import { signerOfKey } from "../../core/x509/certificate-signer.ts";
import { ecAlgorithmOf } from "../../core/x509/public-key.ts";
import { type Clock, pause } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import { IssuerError } from "../error.ts";
import type {
  AuthorityRequest,
  CertifiedAuthority,
  UpstreamAuthority,
  UpstreamTrust,
} from "../ports.ts";
import { readUpstreamFiles, type UpstreamMaterial } from "./upstream-files.ts";

export interface DiskUpstreamOptions {
  readonly dir: string;
  /** A file in place of the layout's own, for roots that lie elsewhere. */
  readonly trustAnchors?: string | undefined;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
}

/** What was read must still be the same after this long: whoever copies file by file is not done after the first. */
const settleMs = 1000;

/** A folder that does not settle or fit together for this long is told, not waited for. */
const patienceMs = 15_000;

/** Good material and the way up from it. */
interface Usable {
  readonly material: UpstreamMaterial;
  readonly path: AuthorityPath;
}

/**
 * The operator's intermediate or root in a folder. It certifies authorities below it; one whose path length allows none, as
 * Linkerd's and Istio's own tools make them, is taken as the authority itself. A folder that is being written is waited out:
 * nothing is used that does not fit together, chain up to its roots, and stay so.
 */
export class DiskUpstream implements UpstreamAuthority {
  readonly #options: DiskUpstreamOptions;
  /** Of what was last found whole and settled. */
  #settled = "";

  constructor(options: DiskUpstreamOptions) {
    this.#options = options;
  }

  /** @throws IssuerError UPSTREAM_FILES, UPSTREAM_CHAIN */
  async certify(request: AuthorityRequest): Promise<CertifiedAuthority> {
    const { material, path } = await this.#load();
    const { certificate, key } = material;
    const above = material.above.map(({ der }) => der);
    const anchors = material.anchors.map(({ der }) => der);
    if (!hasRoomBelow(path.path)) {
      if (ecAlgorithmOf(certificate.spki) === undefined)
        throw new IssuerError(
          "UPSTREAM_CHAIN",
          `the CA in ${this.#options.dir} allows no authority below it (pathlen), and cannot sign SVIDs itself, for its key is not on P-256 or P-384; issue it with pathlen:1, or with such a key`,
        );
      return { certificate: certificate.der, above, anchors, key };
    }
    const made = await createIntermediate(
      {
        ...request,
        signer: await request.key(),
        notAfter: Math.min(request.notAfter, path.notAfter),
      },
      { certificate, signer: signerOfKey(key) },
    );
    return { certificate: made, above: [certificate.der, ...above], anchors };
  }

  /** @throws IssuerError UPSTREAM_FILES, UPSTREAM_CHAIN */
  async trust(): Promise<UpstreamTrust> {
    const { material } = await this.#load();
    return {
      issuer: material.certificate.der,
      anchors: material.anchors.map(({ der }) => der),
    };
  }

  watch(onChange: () => void): () => void {
    const { dir, trustAnchors, log } = this.#options;
    const folders = new Set([dir, ...(trustAnchors === undefined ? [] : [dirname(trustAnchors)])]);
    const watchers: FSWatcher[] = [];
    for (const folder of folders) {
      try {
        const watcher = watch(folder, { persistent: false }, onChange);
        watcher.on("error", onChange);
        watchers.push(watcher);
      } catch (thrown) {
        log.warn(
          { folder, reason: reasonOf(thrown) },
          "changes of the upstream's folder are not told; it is looked at every minute",
        );
      }
    }
    return () => {
      for (const watcher of watchers) watcher.close();
    };
  }

  /** Reads until the folder is whole, holds, and has not changed for a while. */
  async #load(): Promise<Usable> {
    const { clock } = this.#options;
    const deadline = clock.now() + patienceMs;
    let seen = this.#settled;
    for (;;) {
      const read = await this.#read().catch((thrown: unknown) => {
        if (!(thrown instanceof HeraldError) || clock.now() >= deadline) throw thrown;
        return undefined;
      });
      if (read !== undefined && read.material.digest === seen) {
        this.#settled = seen;
        return read;
      }
      if (clock.now() >= deadline)
        throw new IssuerError(
          "UPSTREAM_FILES",
          `${this.#options.dir} changes all the time; let it come to rest`,
        );
      seen = read?.material.digest ?? "";
      await pause(clock, settleMs);
    }
  }

  async #read(): Promise<Usable> {
    const { dir, trustAnchors, trustDomain, clock } = this.#options;
    const material = await readUpstreamFiles(dir, trustAnchors);
    const { certificate, above, anchors } = material;
    try {
      const path = authorityPath({ certificate, above, anchors, trustDomain, now: clock.now() });
      return { material, path };
    } catch (cause) {
      if (!(cause instanceof HeraldError)) throw cause;
      throw new IssuerError("UPSTREAM_CHAIN", `the CA in ${dir}: ${reasonOf(cause)}`, { cause });
    }
  }
}
