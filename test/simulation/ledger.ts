import type { Entry, NodeSelection } from "../../src/core/policy/entry.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import { parseSpiffeId, type SpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { IssuerError } from "../../src/issuer/error.ts";
import type { Issuer } from "../../src/issuer/issuer.ts";

/** What the operator was told of an entry. `unsure`: nobody answered, and both is well. */
type Told = "there" | "gone" | "unsure";

const operator = { kind: "unix", uid: 0, pid: 1 } as const;

/** What the operator ordered and was told. */
export class Ledger {
  readonly #told = new Map<SpiffeId, Told>();
  readonly #ids = new Map<SpiffeId, string>();
  #names = 0;

  /** Entries that the operator knows by their id, and may delete. */
  get known(): readonly SpiffeId[] {
    return [...this.#ids.keys()].filter((id) => this.#told.get(id) === "there");
  }

  async create(issuer: Issuer, nodes: NodeSelection, uid: number): Promise<void> {
    this.#names += 1;
    const spiffeId = parseSpiffeId(`spiffe://example.org/w${this.#names}`);
    this.#told.set(spiffeId, "unsure");
    const wanted = {
      spiffeId,
      nodes,
      selectors: [parseSelector(`unix:uid:${uid}`)],
      x509TtlSeconds: 0,
      dnsNames: [],
      hint: "",
      priority: 0,
    };
    try {
      this.#ids.set(spiffeId, (await issuer.createEntry(wanted, operator)).id);
      this.#told.set(spiffeId, "there");
    } catch (thrown) {
      this.#told.set(spiffeId, afterError(thrown, { done: "there", undone: "gone" }));
    }
  }

  async delete(issuer: Issuer, spiffeId: SpiffeId): Promise<void> {
    this.#told.set(spiffeId, "unsure");
    try {
      await issuer.deleteEntry(this.#ids.get(spiffeId) ?? "", operator);
      this.#told.set(spiffeId, "gone");
    } catch (thrown) {
      this.#told.set(spiffeId, afterError(thrown, { done: "gone", undone: "there" }));
    }
  }

  /** What the operator was told and is not so. */
  lies(entries: readonly Entry[]): readonly string[] {
    const there = new Set(entries.map((entry) => entry.spiffeId));
    return [...this.#told].flatMap(([id, told]) => {
      if (told === "there" && !there.has(id)) return [`${id} was lost`];
      return told === "gone" && there.has(id) ? [`${id} came back`] : [];
    });
  }
}

/** STORE_PENDING says that the order is in force; an issuer whose audit is away did nothing; of anything else nobody knows. */
function afterError(thrown: unknown, told: { readonly done: Told; readonly undone: Told }): Told {
  if (!(thrown instanceof IssuerError)) throw thrown;
  if (thrown.code === "STORE_PENDING") return told.done;
  return thrown.code === "AUDIT_UNAVAILABLE" ? told.undone : "unsure";
}
