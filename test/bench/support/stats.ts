/** The value below which the share `q` of all lies; linear between neighbours. */
function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** One line of a benchmark's table. */
export interface Row {
  readonly what: string;
  readonly unit: "ms" | "µs" | "/s" | "x";
  /** How many samples. */
  readonly n: number;
  /** The best sample: what is left when nothing else runs on the machine. */
  readonly least?: number;
  readonly median: number;
  readonly p90?: number;
  readonly p99?: number;
  readonly max?: number;
}

/** What a benchmark found. */
export interface Result {
  readonly name: string;
  readonly rows: readonly Row[];
  /** How to read it, a line each. */
  readonly notes: readonly string[];
}

export function timesRow(what: string, times: readonly number[]): Row {
  return {
    what,
    unit: "ms",
    n: times.length,
    least: Math.min(...times),
    median: median(times),
    p90: quantile(times, 0.9),
    p99: quantile(times, 0.99),
    max: Math.max(...times),
  };
}

/** A result for people: columns as wide as their widest cell. */
export function printResult(result: Result): string {
  const cells = [
    ["", "n", "least", "median", "p90", "p99", "max"],
    ...result.rows.map((row) => [
      row.what,
      String(row.n),
      row.least === undefined ? "" : shown(row.least),
      `${shown(row.median)} ${row.unit}`,
      ...[row.p90, row.p99, row.max].map((value) => (value === undefined ? "" : shown(value))),
    ]),
  ];
  const widths = [0, 1, 2, 3, 4, 5, 6].map((column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  );
  const lines = cells.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
  return `${result.name}\n${lines.map((line) => `  ${line.trimEnd()}\n`).join("")}${result.notes.map((note) => `  ${note}\n`).join("")}`;
}

function shown(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 10 ? 2 : 1);
}
