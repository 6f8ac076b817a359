import type { RefusedRequests } from "../../core/envelope/audit-payloads.ts";
import type { Clock, Timer } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { AuditChain } from "../audit/audit-chain.ts";

/** Refusals are gathered this long, so that a flood of them is one record a minute at most, whoever makes it. */
const windowMs = 60_000;

/** Lines in one record; what is beyond is counted. */
const mostLines = 64;

const longestReason = 256;

/** What was refused, to whom. */
export interface Refused {
  /** In whose name the request came; empty for a stranger. */
  readonly node: string;
  readonly code: string;
  readonly reason: string;
}

/** Puts refused requests into the audit chain: each kind of refusal to each sender once a window, with its count. */
export class Refusals {
  readonly #options: { readonly audit: AuditChain; readonly clock: Clock; readonly log: Log };
  #lines = new Map<string, RefusedRequests>();
  #others = 0;
  #since = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: { readonly audit: AuditChain; readonly clock: Clock; readonly log: Log }) {
    this.#options = options;
  }

  note({ node, code, reason }: Refused): void {
    if (this.#stopped) return;
    const key = `${code} ${node}`;
    const known = this.#lines.get(key);
    if (known !== undefined) this.#lines.set(key, { ...known, count: known.count + 1 });
    else if (this.#lines.size < mostLines)
      this.#lines.set(key, { node, code, reason: reason.slice(0, longestReason), count: 1 });
    else this.#others += 1;
    if (this.#timer !== undefined) return;
    this.#since = this.#options.clock.now();
    this.#timer = this.#options.clock.after(windowMs, () => void this.#tell());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #tell(): Promise<void> {
    const [refused, others, since] = [[...this.#lines.values()], this.#others, this.#since];
    this.#lines = new Map();
    this.#others = 0;
    this.#timer = undefined;
    try {
      await this.#options.audit.record({ kind: "request-refused", since, refused, others });
    } catch (thrown) {
      this.#options.log.warn(
        { reason: reasonOf(thrown), kinds: refused.length },
        "refused requests could not be recorded; the log has them",
      );
    }
  }
}
