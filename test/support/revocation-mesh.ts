import type { WorkloadView, X509Svid } from "../../src/core/svid/workload-view.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { servableCheck } from "../../src/sds/servable.ts";
import { type Rig, rig } from "../sds/support/server.ts";
import { catalog, view } from "../sds/support/views.ts";
import { hour, makeAuthority, makeBundle, type WorldAuthority } from "./ca-world.ts";
import { makeCrl } from "./crl-world.ts";
import { Sidecars } from "./sidecars.ts";
import { present, presentDates, presentSvid } from "./trial-envoy.ts";

/** Envoys with mutual TLS, whose secrets come from Herald's SDS server; what it serves is in the test's hands. */
export class RevocationMesh implements AsyncDisposable {
  readonly sidecars: Sidecars;
  readonly #root: WorldAuthority;
  readonly #rig: Rig;
  readonly #revoked: string[] = [];
  #numbers = 0n;
  #view: WorkloadView;

  private constructor(parts: {
    readonly envoy: string;
    readonly root: WorldAuthority;
    readonly view: WorkloadView;
    readonly rig: Rig;
  }) {
    this.#root = parts.root;
    this.#rig = parts.rig;
    this.#view = parts.view;
    const socket = parts.rig.address.slice("unix://".length);
    this.sidecars = new Sidecars({ envoy: parts.envoy, socket });
  }

  /** `paths`: of the SPIFFE IDs that there are. */
  static async start(envoy: string, paths: readonly string[]): Promise<RevocationMesh> {
    const root = makeAuthority(presentDates);
    const svids = paths.map((path) => presentSvid([root], { id: `spiffe://example.org/${path}` }));
    const seen = view({ svids, bundles: [makeBundle("example.org", [root])] });
    const secrets = catalog({ check: servableCheck(systemClock) });
    return new RevocationMesh({ envoy, root, view: seen, rig: await rig(seen, { secrets }) });
  }

  svid(path: string): X509Svid {
    const svid = this.#view.svids.find((one) => one.id === `spiffe://example.org/${path}`);
    if (svid === undefined) throw new Error(`there is no ${path}`);
    return svid;
  }

  /** What `svid revoke` leads to at a node: a new CRL of the authority is pushed. */
  async revoke(serial: string): Promise<void> {
    this.#revoked.push(serial);
    this.#numbers += 1n;
    const crl = makeCrl(this.#root, {
      number: this.#numbers,
      thisUpdate: present - hour,
      nextUpdate: present + 24 * hour,
      revoked: this.#revoked.map((one) => ({ serial: one, at: present - 1000 })),
    });
    const { trustDomain } = this.#view;
    const crls = new Map([[trustDomain, { crls: [crl], intermediates: [] }]]);
    this.#view = { ...this.#view, crls };
    this.#rig.views.set(this.#view);
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecars[Symbol.asyncDispose]();
    await this.#rig[Symbol.asyncDispose]();
  }
}
