import type { KeyFinder } from "../../core/envelope/envelope.ts";
import { type Opened, openEnvelope } from "../../core/envelope/envelope.ts";
import { token26 } from "../../core/envelope/object-keys.ts";
import type { Ack } from "../../core/envelope/payloads.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Journal } from "../ports.ts";

/** The newest acknowledgement of each node: what it applied, and what each of its consumers has accepted. Journalled, since gates lean on it. */
export class Acknowledgements {
  readonly #journal: Journal;
  readonly #newest = new Map<SpiffeId, Ack>();
  #heardSince = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Takes over what the journal kept. An ack that its node's key no longer proves is dropped: the node sends a new one. */
  resume(bytes: Uint8Array, keys: KeyFinder): void {
    const { payload } = openEnvelope(bytes, ["ack"], keys);
    this.#newest.set(payload.node, payload);
  }

  /** From here on acknowledgements can come in again: whoever was silent before could not speak. */
  listenFrom(now: number): void {
    this.#heardSince = now;
  }

  /** When that was, milliseconds since the epoch. */
  get heardSince(): number {
    return this.#heardSince;
  }

  newest(node: SpiffeId): Ack | undefined {
    return this.#newest.get(node);
  }

  /** Keeps it, durably, unless a newer one of the same boot is there. Resolves before the node is answered. */
  async keep(ack: Opened<"ack">): Promise<boolean> {
    const { payload } = ack;
    const known = this.#newest.get(payload.node);
    // Of the same boot by its counter, of another by its time: one that was held back must not replace what came after it.
    const isOld =
      known !== undefined &&
      (known.boot === payload.boot ? known.counter >= payload.counter : known.at > payload.at);
    if (isOld) return false;
    await this.#journal.append([{ kind: "ack", key: token26(payload.node), bytes: ack.bytes }]);
    this.#newest.set(payload.node, payload);
    return true;
  }
}
