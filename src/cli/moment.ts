const steps: readonly (readonly [unit: string, seconds: number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
];

/** `59m`, `23h`, `12s`: the largest unit that fits, cut. */
export function printSpan(ms: number): string {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  const [unit, size] = steps.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / size)}${unit}`;
}

/** `in 59m (2026-11-22T12:59:59Z)`, `3m ago (…)`; `never` for 0. */
export function printMoment(at: number | bigint, now: number): string {
  const ms = Number(at);
  if (ms === 0) return "never";
  const span = printSpan(ms - now);
  return `${ms >= now ? `in ${span}` : `${span} ago`} (${isoSeconds(ms)})`;
}

/** Whole seconds in UTC. */
export function isoSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
}

/** For JSON: null for 0, which stands for "never" on the wire. */
export function isoOrNull(at: number | bigint): string | null {
  return Number(at) === 0 ? null : new Date(Number(at)).toISOString();
}
