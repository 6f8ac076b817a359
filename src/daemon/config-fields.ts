import { z } from "zod";
import { reasonOf } from "../kit/errors.ts";

/** What the schemas of configuration files are built of: each refusal says what is wrong and what to write instead. */

const second = 1000;
const day = 86_400 * second;
const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: second,
  m: 60 * second,
  h: 3600 * second,
  d: day,
};
/**
 * `15s`, `10m`, `24h`, `30d`, `100ms`: one number and one unit. Milliseconds, or undefined for anything else.
 */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = unitMs[unit ?? ""];
  return count === undefined || factor === undefined ? undefined : Number(count) * factor;
}

/** A key whose text is read by `read`; undefined from it means "not of this form". `form` is the example in messages. */
export function field<T>(form: string, read: (text: string) => T | undefined): z.ZodType<T> {
  return z
    .string({
      error: ({ input }) =>
        input === undefined ? `is missing; write ${form}` : `is not text; write ${form}, in quotes`,
    })
    .transform((text, context) => {
      const problem = `${JSON.stringify(text)} will not do; write ${form}`;
      try {
        const value = read(text);
        if (value !== undefined) return value;
        context.addIssue({ code: "custom", message: problem });
      } catch (thrown) {
        context.addIssue({ code: "custom", message: reasonOf(thrown) });
      }
      return z.NEVER;
    });
}

/** A mapping whose every key is known. */
export function section<Shape extends z.ZodRawShape>(
  shape: Shape,
): z.ZodObject<Shape, z.core.$strict> {
  const keys = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") return `is not a key here; the keys are ${keys}`;
      return issue.input === undefined
        ? `is missing; write a mapping with ${keys}`
        : `must be a mapping with ${keys}`;
    },
  });
}

/** One of these words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): z.ZodType<Word> {
  return field(words.join(" or "), (text) => words.find((word) => word === text));
}

/** At least one of them. */
export function list<T>(of: z.ZodType<T>, form: string): z.ZodType<T[]> {
  const error = `must be a list with at least one item; write ${form}`;
  return z.array(of, { error }).min(1, { error });
}

/** A {@link parseDuration}, in milliseconds, within bounds. */
export function duration(from: string, to: string): z.ZodType<number> {
  const [least = 0, most = 0] = [parseDuration(from), parseDuration(to)];
  return field(`a duration from ${from} to ${to}, such as 90s, 10m, 24h or 30d`, (text) => {
    const ms = parseDuration(text);
    return ms !== undefined && ms >= least && ms <= most ? ms : undefined;
  });
}

/** A path; relative ones start at the file's folder. */
export const path: z.ZodType<string> = field("a path", (text) => (text === "" ? undefined : text));
