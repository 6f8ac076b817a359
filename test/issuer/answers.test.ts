import { expect, test } from "vitest";
import { Answers } from "../../src/issuer/door/answers.ts";
import { HeldClock } from "../support/held-clock.ts";

/** Answers of so many bytes, counted. */
function maker(size: number): { readonly make: () => Promise<Uint8Array>; made: number } {
  const maker = {
    made: 0,
    make: () => {
      maker.made += 1;
      return Promise.resolve(new Uint8Array(size));
    },
  };
  return maker;
}

const mebibyte = 1024 * 1024;

test("ND-34: the same request gets the same answer, also while it is being made", async () => {
  const answers = new Answers(new HeldClock(0));
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const first = answers.of("a", () => promise);
  const other = maker(1);
  const again = answers.of("a", other.make);
  const bytes = new Uint8Array(3);
  resolve(bytes);
  expect(await first).toBe(bytes);
  expect(await again).toBe(bytes);
  expect(await answers.of("a", other.make)).toBe(bytes);
  expect(other.made).toBe(0);
});

test("a failure is not kept", async () => {
  const answers = new Answers(new HeldClock(0));
  await expect(answers.of("a", () => Promise.reject(new Error("disk")))).rejects.toThrow("disk");
  const second = maker(1);
  await answers.of("a", second.make);
  expect(second.made).toBe(1);
});

test("TM-R-01: beyond 64 MiB the oldest answers lose their bytes, and their requests are never answered anew", async () => {
  const answers = new Answers(new HeldClock(0));
  const big = maker(10 * mebibyte);
  for (const digest of ["a", "b", "c", "d", "e", "f", "g"]) await answers.of(digest, big.make);
  await expect(answers.of("a", big.make)).rejects.toMatchObject({ code: "ANSWER_GONE" });
  expect((await answers.of("b", big.make)).byteLength).toBe(10 * mebibyte);
  expect(big.made).toBe(7);
});

test("after its life an answer is forgotten with its bytes", async () => {
  const clock = new HeldClock(0);
  const answers = new Answers(clock);
  const big = maker(40 * mebibyte);
  await answers.of("a", big.make);
  await clock.advance(150_001);
  await answers.of("b", big.make);
  await answers.of("a", big.make);
  expect(big.made).toBe(3);
});
