import { printable } from "./audit-line.ts";

/** Rows under a heading, columns aligned by two spaces; nothing after the last one. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows.map((row) => row.map(printable))];
  const widths = heading.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? "").length)),
  );
  return all.map((row) => `${aligned(row, widths)}\n`).join("");
}

/** Names and values, one pair a line. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}\n`).join("");
}

function aligned(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join("  ")
    .trimEnd();
}

/** `a=1,b=2`, or a dash for none. */
export function printLabels(labels: ReadonlyMap<string, string>): string {
  return listed([...labels].map(([name, value]) => `${name}=${value}`));
}

/** Joined by commas, or a dash for none. */
export function listed(items: readonly string[]): string {
  return items.length === 0 ? "-" : items.join(",");
}
