import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { AuditCheckpoint } from "../../core/envelope/audit-payloads.ts";
import { openEnvelope } from "../../core/envelope/envelope.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { readIfThere } from "../../kit/adapters/durable-file.ts";
import type { AuditWitness } from "../audit/audit-witnesses.ts";

/**
 * A witness that is a file, one checkpoint a line, only ever appended to and synced. It is worth as much as the disk is out of the reach of whoever
 * could take the issuer: another machine's mount, or a medium that is written once.
 */
export class FileWitness implements AuditWitness {
  readonly name: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.name = `file ${path}`;
  }

  async submit(checkpoint: Uint8Array): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const file = await open(this.#path, "a+", 0o600);
    try {
      const { size } = await file.stat();
      const last = Buffer.alloc(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      // A crash may have left half a line; the next one must not be a part of it.
      const gap = size > 0 && last.toString("latin1") !== "\n" ? "\n" : "";
      await file.appendFile(Buffer.concat([Buffer.from(gap), checkpoint, Buffer.from("\n")]));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async last(issuer: SpiffeId): Promise<Uint8Array | undefined> {
    const lines = await linesOf(this.#path);
    return lines.findLast((line) => issuerOf(line) === issuer);
  }
}

/** Every checkpoint of a witness's file that the control root vouches for, in the file's order; how many lines are something else. */
export async function readWitnessFile(
  path: string,
  trust: ControlTrust,
): Promise<{ readonly checkpoints: readonly AuditCheckpoint[]; readonly foreign: number }> {
  const lines = await linesOf(path);
  const checkpoints = lines.flatMap((line) => {
    try {
      return [openEnvelope(line, ["audit-checkpoint"], trust.atAnyTime()).payload];
    } catch {
      return [];
    }
  });
  return { checkpoints, foreign: lines.length - checkpoints.length };
}

async function linesOf(path: string): Promise<readonly Buffer[]> {
  const text = (await readIfThere(path))?.toString("utf8") ?? "";
  return text.split("\n").flatMap((line) => (line === "" ? [] : [Buffer.from(line)]));
}

/** Unproven: whoever asks proves the line. */
function issuerOf(line: Buffer): unknown {
  try {
    const { payload } = JSON.parse(line.toString("utf8")) as { readonly payload: string };
    const told = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as {
      readonly issuer?: unknown;
    };
    return told.issuer;
  } catch {
    return undefined;
  }
}
