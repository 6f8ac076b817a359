import type { AuthorityState } from "../../core/envelope/authority-payloads.ts";
import { isSame } from "../../core/svid/path.ts";
import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import { type Backoff, exponentialBackoff } from "../../kit/backoff.ts";
import type { Clock } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Metrics } from "../../kit/metrics.ts";
import type { Random } from "../../kit/random.ts";
import type { AuthorityKeys, UpstreamAuthority, UpstreamTrust } from "../ports.ts";
import type { Authorities } from "./authorities.ts";

export interface UpkeepOptions {
  readonly authorities: Authorities;
  readonly upstream: UpstreamAuthority;
  readonly keys: AuthorityKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A change that nobody told is found within this long. */
const reconcileMs = 60_000;

/** What of its life an authority has left when it is replaced: by itself, and where another rotation has to give way. */
const shareLeft = 1 / 3;
const busyShareLeft = 1 / 6;

/** Of what limits an authority's life, an end this near to its own is the same one: dates are whole seconds. */
const sameEndMs = 2000;

/** Sees when the active authority should be replaced: it grows old, its upstream changes, or its key is lost. What is done then is the rotation's. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #backoff: Backoff;
  readonly #stopWatching: () => void;
  #notBefore = 0;
  #lookAt = 0;
  #alarmedFor = "";
  #tending = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#backoff = exponentialBackoff({
      baseMs: 2000,
      maxMs: 300_000,
      random: options.random,
    });
    this.#stopWatching = options.upstream.watch(() => {
      this.#lookAt = 0;
      this.#notBefore = 0;
    });
  }

  stop(): void {
    this.#stopWatching();
  }

  /**
   * Calls `replace` with the reason when there is one; while it still does so, further calls do nothing. A failure, of the upstream's or of `replace`,
   * is told and tried again with growing pauses. Never rejects. While a rotation waits for the old authority's end (`busy`) only what would end in an
   * outage is a reason: a pause, or a consumer that refuses, may last for longer than the new authority.
   */
  async tend(replace: (why: string) => Promise<unknown>, busy: boolean): Promise<void> {
    const { clock, authorities } = this.#options;
    const active = authorities.active();
    if (this.#tending || active === undefined || clock.now() < this.#notBefore) return;
    this.#tending = true;
    try {
      const why = await this.#why(active, busy);
      if (why !== undefined) await replace(why);
      this.#backoff.reset();
    } catch (thrown) {
      this.#fail(active, thrown);
    } finally {
      this.#tending = false;
    }
  }

  #fail(active: AuthorityState, thrown: unknown): void {
    const { clock, log, metrics } = this.#options;
    this.#lookAt = 0;
    this.#notBefore = clock.now() + this.#backoff.next();
    metrics.increment("herald_issuer_upstream_failures_total");
    log.error(
      {
        alarm: "upstream",
        reason: reasonOf(thrown),
        authority: active.authority,
        ends: new Date(active.notAfter).toISOString(),
      },
      "no new authority can be made; the present one signs on until it ends",
    );
  }

  async #why(active: AuthorityState, busy: boolean): Promise<string | undefined> {
    const { clock, keys, upstream } = this.#options;
    const now = clock.now();
    if (now >= this.#lookAt) {
      // Set before it looks: what is told meanwhile may be news to what it read.
      this.#lookAt = now + reconcileMs;
      if ((await keys.open(active.authority)) === undefined)
        return "automatic: the active authority's key is gone from its store";
      if (!busy && !fits(active, await upstream.trust()))
        return "automatic: the upstream is not what certified the active authority";
    }
    const { notBefore } = certificateOf(active.certificate);
    const left = busy ? busyShareLeft : shareLeft;
    if (active.notAfter - now >= (active.notAfter - notBefore) * left) return undefined;
    const upstreamEnd = endOfUpstream(active);
    // A new one would end with this one. Only the operator can help.
    if (upstreamEnd - active.notAfter < sameEndMs) {
      this.#alarm(active, upstreamEnd);
      return undefined;
    }
    return busy
      ? "automatic: the authority's life is nearly over, and the rotation before has not ended"
      : "automatic: two thirds of the authority's life are over";
  }

  #alarm(active: AuthorityState, end: number): void {
    if (this.#alarmedFor === active.authority) return;
    this.#alarmedFor = active.authority;
    this.#options.log.error(
      { alarm: "upstream-ends", authority: active.authority, ends: new Date(end).toISOString() },
      "the upstream's certificate ends, and every SVID with it; replace it: a new authority is then prepared by itself",
    );
  }
}

/** Is an authority certified as one would be that is made now? */
function fits(active: AuthorityState, { issuer, anchors }: UpstreamTrust): boolean {
  if (issuer === undefined) return active.chain.length === 0;
  const above = new Set([...active.chain, ...active.anchors]);
  const wanted = anchors.map(encode);
  return (
    above.has(encode(issuer)) &&
    wanted.every((anchor) => active.anchors.includes(anchor)) &&
    active.anchors.every((anchor) => wanted.includes(anchor))
  );
}

/** When the first certificate above an authority ends; Infinity for a root of its own. */
function endOfUpstream(active: AuthorityState): number {
  const chain = active.chain.map(certificateOf);
  const top = chain.at(-1);
  if (top === undefined) return Number.POSITIVE_INFINITY;
  const anchorEnds = active.anchors
    .map(certificateOf)
    .filter((anchor) => isSame(anchor.subject, top.issuer))
    .map(({ notAfter }) => notAfter);
  return Math.min(...chain.slice(1).map(({ notAfter }) => notAfter), Math.max(...anchorEnds));
}

function certificateOf(base64: string): Certificate {
  return parseCertificate(Buffer.from(base64, "base64"));
}

function encode(der: Uint8Array): string {
  return Buffer.from(der).toString("base64");
}
