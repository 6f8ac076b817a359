/** Writes times as RFC 3339 wants them, and keeps the last one: events of one request have the same. */
export function rememberedTime(): (ms: number) => string {
  let of = Number.NaN;
  let written = "";
  return (ms) => {
    if (ms === of) return written;
    written = new Date(ms).toISOString();
    of = ms;
    return written;
  };
}
