import type { Command } from "commander";
import type { Authority, KeptAuthority } from "../../wire/herald/v1/authorities.ts";
import { isoOrNull, printMoment } from "../moment.ts";
import { printProgress, printWaiting, progressJson, waitingJson } from "../rotation-line.ts";
import { listed, table } from "../table.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";
import { addActivate, addRevoke, addRotate, addTaint } from "./ca-rotation.ts";

interface AdminOptions {
  readonly admin?: string;
  readonly json?: true;
}

export function addCa(program: Command, shop: Shop): void {
  const ca = addGroup(program, {
    name: "ca",
    description: "authorities: the keys that sign X.509-SVIDs",
  });
  addList(ca, shop);
  addPrepare(ca, shop);
  addActivate(ca, shop);
  addTaint(ca, shop);
  addRevoke(ca, shop);
  addRotate(ca, shop);
  addPrune(ca, shop);
}

function addList(ca: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(ca, {
      name: "list",
      description:
        "list authorities, who still needs them and what comes next, and the rotation under way",
      examples: ["herald ca list"],
    }),
  );
  verb.action(async () => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { authorities, rotation } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.listAuthorities(),
    );
    if (json === true) {
      const answer = {
        authorities: authorities.map(authorityJson),
        rotation: rotation === undefined ? null : progressJson(rotation),
      };
      surroundings.out(`${JSON.stringify(answer)}\n`);
      return;
    }
    const now = surroundings.clock.now();
    surroundings.out(
      table(
        ["ID", "STATUS", "SUBJECT KEY ID", "LIVE SVIDS", "EXPIRES", "NEXT"],
        authorities.map((one) => authorityRow(one, now)),
      ),
    );
    surroundings.out(authorities.map((one) => printUses(one, now)).join(""));
    if (rotation !== undefined)
      surroundings.out(`\nrotation under way: ${printProgress(rotation)}\n`);
  });
}

function addPrepare(ca: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(ca, {
      name: "prepare",
      description: "make the next authority and put its root into every bundle; it signs nothing",
      examples: ["herald ca prepare"],
    }),
  );
  verb.action(async () => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { authority } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.prepareAuthority(),
    );
    if (authority === undefined) return;
    surroundings.out(
      json === true
        ? `${JSON.stringify({ authority: authorityJson(authority) })}\n`
        : `${authority.id} is prepared; \`herald ca activate\` brings it into use\n`,
    );
  });
}

function addPrune(ca: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(ca, {
      name: "prune",
      description:
        "take away the roots of authorities that sign no more and have no live SVID; says for whom others stay",
      examples: ["herald ca prune"],
    }),
  );
  verb.action(async () => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { removed, kept } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.pruneAuthorities(),
    );
    if (json === true) {
      const stay = kept.map(({ id, waiting }) => ({ id, waiting: waiting.map(waitingJson) }));
      surroundings.out(`${JSON.stringify({ removed, kept: stay })}\n`);
      return;
    }
    surroundings.out(`removed: ${listed(removed)}\n${kept.map(printKept).join("")}`);
  });
}

function printKept({ id, waiting }: KeptAuthority): string {
  return `${id} stays for ${waiting.map(printWaiting).join(", ")}\n`;
}

function authorityRow(one: Authority, now: number): readonly string[] {
  const svids = one.uses.reduce((sum, use) => sum + use.svids, 0);
  const at = one.nextAt === 0n ? "" : ` ${printMoment(one.nextAt, now)}`;
  return [
    one.id,
    one.status,
    one.subjectKeyId,
    svids === 0 ? "-" : `${svids} on ${one.uses.length} node(s)`,
    printMoment(one.notAfter, now),
    one.nextStep === "" ? "-" : `${one.nextStep}${at}`,
  ];
}

const longestUses = 10;

/** Of one that signs no more: who keeps it in the bundle. */
function printUses({ id, status, uses }: Authority, now: number): string {
  if (status === "active" || uses.length === 0) return "";
  const lines = uses
    .slice(0, longestUses)
    .map(
      ({ node, svids, until }) => `  ${node}: ${svids}, the last ends ${printMoment(until, now)}\n`,
    );
  const more = uses.length > longestUses ? `  and ${uses.length - longestUses} more nodes\n` : "";
  return `\n${id} has live SVIDs on\n${lines.join("")}${more}`;
}

function authorityJson(authority: Authority): unknown {
  return {
    ...authority,
    notAfter: isoOrNull(authority.notAfter),
    uses: authority.uses.map((use) => ({ ...use, until: isoOrNull(use.until) })),
    nextAt: isoOrNull(authority.nextAt),
  };
}
