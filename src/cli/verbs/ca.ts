import type { Command } from "commander";
import type { Authority, RotationProgress } from "../../wire/herald/v1/authorities.ts";
import type { Admin } from "../admin-client.ts";
import { CliError } from "../cli-error.ts";
import { exitCode } from "../exit-code.ts";
import { isoOrNull, printMoment } from "../moment.ts";
import { printProgress } from "../rotation-line.ts";
import type { Surroundings } from "../surroundings.ts";
import { table } from "../table.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";

interface RotateOptions {
  readonly admin?: string;
  readonly watch?: true;
  readonly json?: true;
}

export function addCa(program: Command, shop: Shop): void {
  const ca = addGroup(program, {
    name: "ca",
    description: "authorities: the keys that sign X.509-SVIDs",
  });
  addList(ca, shop);
  addRotate(ca, shop);
}

function addList(ca: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(ca, {
      name: "list",
      description: "list authorities and the rotation under way",
      examples: ["herald ca list"],
    }),
  );
  verb.action(async () => {
    const { admin: flag, json } = verb.opts<{ readonly admin?: string; readonly json?: true }>();
    const { withIssuer } = await import("../admin-client.ts");
    const { authorities, rotation } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.listAuthorities(),
    );
    if (json === true) {
      const answer = { authorities: authorities.map(authorityJson), rotation: rotation ?? null };
      surroundings.out(`${JSON.stringify(answer)}\n`);
      return;
    }
    const now = surroundings.clock.now();
    surroundings.out(
      table(
        ["ID", "STATUS", "SUBJECT KEY ID", "EXPIRES"],
        authorities.map((one) => [
          one.id,
          one.status,
          one.subjectKeyId,
          printMoment(one.notAfter, now),
        ]),
      ),
    );
    if (rotation !== undefined)
      surroundings.out(`\nrotation under way: ${printProgress(rotation)}\n`);
  });
}

function addRotate(ca: Command, { surroundings, finish }: Shop): void {
  const verb = withAdmin(
    addVerb(ca, {
      name: "rotate",
      description:
        "bring a new authority into use, step by step, each one when all nodes and Envoys are ready for it; waits until done",
      examples: ["herald ca rotate", "herald ca rotate --watch --json"],
    }),
  ).option("--watch", "follow the rotation under way, begin none");
  verb.action(async () => {
    const options = verb.opts<RotateOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    finish(
      await withIssuer(
        options.admin,
        surroundings,
        async (admin) => await followRotation(admin, options, surroundings),
      ),
    );
  });
}

async function followRotation(
  admin: Admin,
  options: RotateOptions,
  surroundings: Surroundings,
): Promise<number> {
  const { clock } = surroundings;
  const interrupt = new AbortController();
  const forget = surroundings.onInterrupt(() => interrupt.abort());
  const startedAt = clock.now();
  let last: RotationProgress | undefined;
  let told = "";
  try {
    const stream =
      options.watch === true
        ? admin.watchRotation(interrupt.signal)
        : admin.rotateAuthority(interrupt.signal);
    for await (const { progress } of stream) {
      if (progress === undefined) continue;
      last = progress;
      const line = options.json === true ? JSON.stringify(progress) : printProgress(progress);
      if (line === told) continue;
      told = line;
      const elapsed = `+${((clock.now() - startedAt) / 1000).toFixed(1)}s`;
      surroundings.out(options.json === true ? `${line}\n` : `${elapsed.padEnd(7)} ${line}\n`);
      if (progress.step === "done") return exitCode.ok;
    }
  } finally {
    forget();
  }
  if (interrupt.signal.aborted) {
    surroundings.err(
      "herald: the rotation goes on without this command\n  try: herald ca rotate --watch\n",
    );
    return exitCode.failed;
  }
  return ended(options.watch === true && last === undefined);
}

/** The stream ended before the rotation did. */
function ended(hadNothingToWatch: boolean): number {
  if (hadNothingToWatch) {
    const cure = "herald ca rotate, to begin one";
    throw new CliError("ROTATION_UNFINISHED", "no rotation is under way", { cure });
  }
  throw new CliError(
    "ROTATION_UNFINISHED",
    "the issuer ended the stream before the rotation was done; it goes on as soon as an issuer runs",
    {
      cure: "herald ca rotate --watch",
    },
  );
}

function authorityJson(authority: Authority): unknown {
  return { ...authority, notAfter: isoOrNull(authority.notAfter) };
}
