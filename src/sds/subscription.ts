/** Which secrets one State-of-the-World stream wants. */
export interface Subscription {
  /** `*`, or the first request without names (SOTW-10). */
  readonly all: boolean;
  readonly names: ReadonlySet<string>;
  /** From the first named request on, an empty list means nothing, not everything (SOTW-10). */
  readonly everNamed: boolean;
}

/** Before the first request. */
export const noSubscription: Subscription = { all: false, names: new Set(), everNamed: false };

/** At most this many names a request; a gateway has dozens, each on its own stream (SOTW-14, XDS-09). */
const maxNames = 1_000;
/** SPIFFE IDs end at 2,048 bytes, and no alias is longer. */
const maxNameBytes = 2_048;

/** Why a list of names cannot be taken; undefined when it can (SOTW-14). */
export function namesFault(names: readonly string[]): string | undefined {
  if (names.length > maxNames) return `more than ${maxNames} resource names`;
  return names.some((name) => Buffer.byteLength(name) > maxNameBytes)
    ? `a resource name of more than ${maxNameBytes} bytes`
    : undefined;
}

/** The subscription after a request: its names are the whole wish, whatever nonce came along (SOTW-05, SOTW-06). */
export function subscribe(before: Subscription, requested: readonly string[]): Subscription {
  const given = requested.filter((name) => name !== "");
  if (given.length === 0) return { ...before, all: !before.everNamed, names: new Set() };
  const names = new Set(given.filter((name) => name !== "*"));
  return { all: given.includes("*"), names, everNamed: true };
}

/**
 * Whether what was sent under `name` still counts. Not when the name is no longer asked for (SOTW-06), and not when it is
 * named just now: then it is sent even if the wildcard sent it before (SOTW-07). The wildcard covers SPIFFE IDs, no aliases
 * (SOTW-11).
 */
export function stillCounts(name: string, before: Subscription, after: Subscription): boolean {
  if (after.names.has(name)) return before.names.has(name);
  return after.all && name.startsWith("spiffe://");
}
