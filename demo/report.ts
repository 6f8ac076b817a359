import { styleText } from "node:util";

/** One number of the demo. */
export interface Figure {
  /** Its name in the JSON. */
  readonly key: string;
  readonly label: string;
  readonly value: number;
  readonly unit: "" | "ms" | "s" | "/s";
}

/** What the demo found out. */
export interface Outcome {
  readonly ok: boolean;
  readonly claims: readonly {
    readonly claim: string;
    readonly held: boolean;
    readonly told: string;
  }[];
  readonly figures: readonly Figure[];
}

/** A claim and what was seen, on one line. */
export function claimLine(claim: string, held: boolean, told: string): string {
  const mark = held ? styleText("green", "✓") : styleText("red", "✗");
  return `${mark} ${styleText("bold", claim.padEnd(20))} ${told}\n`;
}

/** All figures, one a line. */
export function figuresTable(figures: readonly Figure[]): string {
  if (figures.length === 0) return "";
  const rows = figures.map(({ label, value, unit }) => [label, print(value, unit)] as const);
  const left = Math.max(...rows.map(([label]) => label.length));
  const right = Math.max(...rows.map(([, value]) => value.length));
  const line = "─".repeat(left + right + 3);
  const body = rows.map(([label, value]) => `  ${label.padEnd(left)}   ${value.padStart(right)}`);
  return ["", "  Figures", `  ${line}`, ...body, `  ${line}`, ""].join("\n");
}

/** The outcome for programs: one line of JSON. */
export function outcomeJson({ ok, claims, figures }: Outcome): string {
  const values = Object.fromEntries(figures.map(({ key, value }) => [key, value]));
  return `${JSON.stringify({ ok, claims, figures: values })}\n`;
}

/** A number with its unit, as people read it. */
export function print(value: number, unit: Figure["unit"]): string {
  const digits = unit === "" || value >= 100 ? 0 : 1;
  const number = value.toLocaleString("en", { maximumFractionDigits: digits });
  return unit === "" || unit === "/s" ? `${number}${unit}` : `${number} ${unit}`;
}
