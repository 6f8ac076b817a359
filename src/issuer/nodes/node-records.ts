import type { NodeRecordState } from "../../core/envelope/payloads.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import { type Entries, refuseLabels } from "../entries/entries.ts";
import { IssuerError } from "../error.ts";
import { Refusal, recordKeyOf, refuseUnwelcome } from "../requests.ts";
import type { SignedState } from "../state/signed-state.ts";

export interface NodeRecordsOptions {
  readonly state: SignedState;
  readonly entries: Entries;
  readonly clock: Clock;
  /** Called once it is durable that a node gets nothing more: its SVIDs are to be revoked. */
  readonly onBanned: (node: SpiffeId) => void;
}

/** Which nodes are wanted of a list. */
export interface NodeFilter {
  /** All must match. */
  readonly labels: ReadonlyMap<string, string>;
  readonly banned?: boolean | undefined;
  /** Name of the attestor; empty for any. */
  readonly attestor: string;
  /** Only those whose newest SVID ends before; 0 for any. */
  readonly expiringBefore: number;
}

/** The records of the nodes, as operators see and change them. A node that was taken out is in none of the answers. */
export class NodeRecords {
  readonly #options: NodeRecordsOptions;

  constructor(options: NodeRecordsOptions) {
    this.#options = options;
  }

  /** Sorted by SPIFFE ID. */
  list(): readonly NodeRecordState[] {
    return this.#options.state
      .list("node-record")
      .filter((record) => record.evictedAt === undefined)
      .toSorted((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** Whose key one of these is, or was. Anybody may ask, with as many key ids as a request holds: so nothing is sorted or copied. */
  ofKeys(keyIds: ReadonlySet<string>): NodeRecordState | undefined {
    return this.#options.state
      .list("node-record")
      .find(
        ({ current, next, retired, evictedAt }) =>
          evictedAt === undefined &&
          (keyIds.has(current.keyId) ||
            (next !== null && keyIds.has(next.keyId)) ||
            retired.some((keyId) => keyIds.has(keyId))),
      );
  }

  /** Up to `size` of those that fit, behind `after` (a SPIFFE ID; empty for the first page). */
  page(
    filter: NodeFilter,
    { after, size }: { readonly after: string; readonly size: number },
  ): { readonly records: readonly NodeRecordState[]; readonly next: string } {
    const fitting = this.list().filter((record) => record.node > after && fits(record, filter));
    const records = fitting.slice(0, size);
    return { records, next: fitting.length > size ? (records.at(-1)?.node ?? "") : "" };
  }

  /** By SPIFFE ID, or by the last segment of one where that is unique. @throws IssuerError NODE_NOT_FOUND; SpiffeError */
  find(text: string): NodeRecordState {
    const isId = text.startsWith("spiffe://");
    const wanted = isId ? parseSpiffeId(text) : `/${text}`;
    const found = this.list().filter(({ node }) =>
      isId ? node === wanted : node.endsWith(wanted),
    );
    const [only, ...more] = found;
    if (only !== undefined && more.length === 0) return only;
    throw new IssuerError(
      "NODE_NOT_FOUND",
      only === undefined
        ? `there is no node ${JSON.stringify(text.slice(0, 256))}; \`herald node list\` shows them`
        : `${found.length} nodes are named ${JSON.stringify(text)}; give one's SPIFFE ID: ${found.map(({ node }) => node).join(", ")}`,
    );
  }

  /** From the moment this resolves nothing is signed for the node, whatever was under way. Banning twice is fine. */
  async ban(node: SpiffeId): Promise<void> {
    await this.#cutOff(node, () => ({ banned: true }));
  }

  /** As a ban, and the node is forgotten: it may enrol anew, by a proof of its own. Its keys stay retired. */
  async evict(node: SpiffeId): Promise<void> {
    const { clock } = this.#options;
    await this.#cutOff(node, (record) => ({
      banned: true,
      evictedAt: clock.now(),
      next: null,
      retired: retiredBy(record),
    }));
  }

  /** Sets and removes labels. What entries give the node follows at once: the issuer judges by the record, the node by its manifest. @throws IssuerError LABEL_INVALID, NODE_NOT_FOUND */
  async label(
    node: SpiffeId,
    change: { readonly set: ReadonlyMap<string, string>; readonly remove: readonly string[] },
  ): Promise<NodeRecordState> {
    await this.#write(node, (record) => {
      const kept = Object.entries(record.labels).filter(([name]) => !change.remove.includes(name));
      const labels = Object.fromEntries([...kept, ...change.set]);
      refuseLabels(labels);
      return { labels };
    });
    return this.find(node);
  }

  /** Rewrites the record of a node that asked, unless it was cut off meanwhile. @throws Refusal NODE_UNKNOWN, NODE_BANNED */
  async update(
    node: SpiffeId,
    change: (current: NodeRecordState) => NodeRecordState,
  ): Promise<void> {
    const key = recordKeyOf(node);
    await this.#options.state.change(() => {
      const current = this.#options.state.get("node-record", key);
      refuseUnwelcome(current);
      const updated = change(current);
      return [{ kind: "node-record", key, content: (stamp) => ({ ...updated, ...stamp }) }];
    });
  }

  /** Asked right before a signature. @throws Refusal NODE_UNKNOWN, NODE_BANNED */
  refuseUnwelcome(node: SpiffeId): void {
    refuseUnwelcome(this.#options.state.get("node-record", recordKeyOf(node)));
  }

  /** Was it evicted, and has nobody taken its name since? */
  isTakenOut(node: SpiffeId): boolean {
    return this.#options.state.get("node-record", recordKeyOf(node))?.evictedAt !== undefined;
  }

  /** What is known of a node that asks to be let in. One that was taken out is a stranger, but its keys are known. @throws Refusal NODE_BANNED */
  known(node: SpiffeId): {
    readonly record: NodeRecordState | undefined;
    readonly retired: readonly string[];
  } {
    const record = this.#options.state.get("node-record", recordKeyOf(node));
    if (record?.evictedAt !== undefined) return { record: undefined, retired: record.retired };
    if (record?.banned === true) throw new Refusal("NODE_BANNED", "the node is banned");
    return { record, retired: record?.retired ?? [] };
  }

  async #cutOff(
    node: SpiffeId,
    change: (record: NodeRecordState) => Partial<NodeRecordState>,
  ): Promise<void> {
    try {
      await this.#write(node, change);
    } catch (thrown) {
      // It is journalled, and in force: only the nodes' own copy has to wait for the bus.
      if (thrown instanceof IssuerError && thrown.code === "STORE_PENDING")
        this.#options.onBanned(node);
      throw thrown;
    }
    this.#options.onBanned(node);
  }

  async #write(
    node: SpiffeId,
    change: (record: NodeRecordState) => Partial<NodeRecordState>,
  ): Promise<void> {
    const { state, entries } = this.#options;
    const key = recordKeyOf(node);
    await state.change(() => {
      const updated = { ...this.find(node) };
      Object.assign(updated, change(updated));
      return [
        { kind: "node-record", key, content: (stamp) => ({ ...updated, ...stamp }) },
        entries.manifestChange(updated),
      ];
    });
  }
}

/** Retired keys are kept this far back, to be told from unknown ones. */
const keptRetiredKeys = 16;

/** Every key that the node was known by: what is retired when another takes its place. */
export function retiredBy({ current, next, retired }: NodeRecordState): readonly string[] {
  const left = [current.keyId, ...(next === null ? [] : [next.keyId])];
  return [...left, ...retired].slice(0, keptRetiredKeys);
}

/** `join_token`, `x509pop`: the segment behind `/herald/node/`. */
export function attestorOf(node: SpiffeId): string {
  return /^spiffe:\/\/[^/]+\/herald\/node\/([^/]+)\//.exec(node)?.[1] ?? "";
}

function fits(record: NodeRecordState, filter: NodeFilter): boolean {
  const { labels, banned, attestor, expiringBefore } = filter;
  return (
    [...labels].every(([name, value]) => record.labels[name] === value) &&
    (banned === undefined || record.banned === banned) &&
    (attestor === "" || attestorOf(record.node) === attestor) &&
    (expiringBefore === 0 || record.expiresAt < expiringBefore)
  );
}
