import type { Command } from "commander";
import type { Admin } from "../admin-client.ts";
import type { Progress } from "../calls/authorities.ts";
import { CliError } from "../cli-error.ts";
import { followRotation } from "../rotation-follow.ts";
import { printProgress, printWaiting, progressJson, waitingJson } from "../rotation-line.ts";
import { addVerb, type Shop, type VerbText, withAdmin } from "../verb.ts";

interface FollowOptions {
  readonly admin?: string;
  readonly json?: true;
}

interface RotateOptions extends FollowOptions {
  readonly watch?: true;
  readonly pause?: true;
  readonly resume?: true;
  readonly abort?: true;
  readonly past?: string;
  readonly force?: true;
  readonly yes?: true;
}

export function addActivate(ca: Command, shop: Shop): void {
  addFollowed(ca, shop, {
    text: {
      name: "activate [id]",
      description:
        "bring a prepared authority into use, the newest unless one is named, when everybody has its root; waits until done",
      examples: ["herald ca activate"],
    },
    begin: (admin, id, signal) => admin.activateAuthority(id, signal),
  });
}

export function addTaint(ca: Command, shop: Shop): void {
  addFollowed(ca, shop, {
    text: {
      name: "taint <id>",
      description:
        "an authority's key may be in wrong hands: replace at once whatever it signed, then take its root away; in place of the active one another is brought first",
      examples: ["herald ca taint x7q2mfw6k3aoeh5d"],
    },
    begin: (admin, id, signal) => admin.taintAuthority(id, signal),
  });
}

export function addRevoke(ca: Command, shop: Shop): void {
  addFollowed(ca, shop, {
    text: {
      name: "revoke <id>",
      description:
        "take an authority that signs no more out of trust, when no live SVID of it is left; waits until done",
      examples: ["herald ca revoke x7q2mfw6k3aoeh5d"],
    },
    begin: (admin, id, signal) => admin.revokeAuthority(id, signal),
  });
}

export function addRotate(ca: Command, { surroundings, finish }: Shop): void {
  const verb = withAdmin(
    addVerb(ca, {
      name: "rotate",
      description:
        "bring a new authority into use and take the old one's root away, step by step, each one when all nodes and Envoys are ready for it; waits until done. The options steer the rotation under way and begin none",
      examples: [
        "herald ca rotate",
        "herald ca rotate --watch --json",
        "herald ca rotate --past spiffe://example.org/herald/node/join_token/web-7",
        "herald ca rotate --force",
      ],
    }),
  )
    .option("--watch", "follow it")
    .option("--pause", "take no further step")
    .option("--resume", "go on")
    .option("--abort", "give up, before the new authority signs")
    .option("--past <node>", "wait for this node no more, whatever it holds: its SPIFFE ID")
    .option("--force", "say what the step under way would cut off if it were taken now")
    .option("--yes", "with --force: take it");
  verb.action(async () => {
    const options = verb.opts<RotateOptions>();
    const order = orderOf(options);
    const { withIssuer } = await import("../admin-client.ts");
    const json = options.json === true;
    const run = async (admin: Admin): Promise<number> => {
      if (order === undefined || order === "watch") {
        const isWatch = order === "watch";
        const begin = (signal: AbortSignal): Progress =>
          isWatch ? admin.watchRotation(signal) : admin.rotateAuthority(signal);
        return await followRotation(begin, { json, isWatch }, surroundings);
      }
      surroundings.out(await answerTo(admin, order, options));
      return 0;
    };
    finish(await withIssuer(options.admin, surroundings, run));
  });
}

const orders = ["watch", "pause", "resume", "abort", "past", "force"] as const;

/** At most one of them. @throws CliError USAGE */
function orderOf(options: RotateOptions): (typeof orders)[number] | undefined {
  const given = orders.filter((order) => options[order] !== undefined);
  const cure = "herald ca rotate --help";
  if (given.length > 1)
    throw new CliError("USAGE", `--${given.join(" and --")} do not go together`, { cure });
  if (options.yes === true && given[0] !== "force")
    throw new CliError("USAGE", "--yes goes with --force", { cure });
  return given[0];
}

async function answerTo(
  admin: Admin,
  order: "pause" | "resume" | "abort" | "past" | "force",
  options: RotateOptions,
): Promise<string> {
  const json = options.json === true;
  if (order === "force") return await force(admin, { isConfirmed: options.yes === true, json });
  const { progress } = await admin.steerRotation(order, options.past ?? "");
  if (progress === undefined) return "";
  return json ? `${JSON.stringify(progressJson(progress))}\n` : `${printProgress(progress)}\n`;
}

async function force(
  admin: Admin,
  { isConfirmed, json }: { readonly isConfirmed: boolean; readonly json: boolean },
): Promise<string> {
  const { cutOff, progress } = await admin.forceRotation(isConfirmed);
  if (json) {
    const stands = progress === undefined ? null : progressJson(progress);
    return `${JSON.stringify({ done: isConfirmed, cutOff: cutOff.map(waitingJson), rotation: stands })}\n`;
  }
  const named = cutOff.map((one) => `  ${printWaiting(one)}\n`).join("");
  if (cutOff.length === 0) return "nobody would be cut off: the step is taken as it is due\n";
  return isConfirmed
    ? `cut off:\n${named}`
    : `would cut off:\n${named}Nothing was done. \`herald ca rotate --force --yes\` does it.\n`;
}

function addFollowed(
  ca: Command,
  { surroundings, finish }: Shop,
  {
    text,
    begin,
  }: {
    readonly text: VerbText;
    readonly begin: (admin: Admin, id: string, signal: AbortSignal) => Progress;
  },
): void {
  const verb = withAdmin(addVerb(ca, text));
  verb.action(async (id?: string) => {
    const { admin: flag, json } = verb.opts<FollowOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const run = async (admin: Admin): Promise<number> =>
      await followRotation(
        (signal) => begin(admin, id ?? "", signal),
        { json: json === true, isWatch: false },
        surroundings,
      );
    finish(await withIssuer(flag, surroundings, run));
  });
}
