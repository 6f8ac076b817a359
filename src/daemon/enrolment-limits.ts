import type { Clock } from "../kit/clock.ts";
import { TokenBucket } from "../kit/token-bucket.ts";
import type { EnrolmentLimits } from "./admission-config.ts";

/** Addresses that are remembered; whoever has more of them than this is held by the limit for all. */
const mostAddresses = 4096;

/** Says for each request in how many seconds to come again; 0: it is let in (ENR-04, TM-N-06). */
export class EnrolmentGate {
  readonly #limits: EnrolmentLimits;
  readonly #clock: Clock;
  readonly #addresses = new Map<string, TokenBucket>();
  /** A flood of enrolments must not keep nodes out that are known and only lost their bus. */
  readonly #all: Readonly<Record<"enrol" | "renew", TokenBucket>>;

  constructor(limits: EnrolmentLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const bucket = (): TokenBucket => new TokenBucket(limits.all, clock.now());
    this.#all = { enrol: bucket(), renew: bucket() };
  }

  retryAfterSeconds(what: "enrol" | "renew", remoteAddress: string): number {
    const now = this.#clock.now();
    const own = this.#bucketOf(networkOf(remoteAddress), now);
    const all = this.#all[what];
    const waitMs = Math.max(own.waitFor(1, now), all.waitFor(1, now));
    if (waitMs > 0) return Math.ceil(waitMs / 1000);
    own.take(1, now);
    all.take(1, now);
    return 0;
  }

  /** The least recently seen is forgotten first. */
  #bucketOf(network: string, now: number): TokenBucket {
    const bucket = this.#addresses.get(network) ?? new TokenBucket(this.#limits.address, now);
    this.#addresses.delete(network);
    this.#addresses.set(network, bucket);
    if (this.#addresses.size > mostAddresses) {
      const [oldest] = this.#addresses.keys();
      if (oldest !== undefined) this.#addresses.delete(oldest);
    }
    return bucket;
  }
}

/** What one customer of a provider has: an IPv4 address, or an IPv6 network of 64 bits. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = (address.split("%")[0] ?? "").toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  const groups = tail === undefined ? left : [...left, ...zeros, ...right];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
