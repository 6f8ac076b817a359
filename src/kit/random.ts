import { randomBytes } from "node:crypto";

/** Chance, as everything in Herald takes it, so that a seed can stand in for it. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Buffer;
  /** A number in [0, 1), for spreading load; never for secrets. */
  fraction(): number;
}

/** The kernel's. */
export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};
