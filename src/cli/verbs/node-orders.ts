import { type Command, InvalidArgumentError } from "commander";
import type { GetNodeResponse, Node } from "../../wire/herald/v1/nodes.ts";
import type { Admin } from "../admin-client.ts";
import { CliError } from "../cli-error.ts";
import { isoOrNull, printMoment } from "../moment.ts";
import { facts, printLabels } from "../table.ts";
import { addVerb, type Shop, type VerbText, withAdmin } from "../verb.ts";
import { nodeJson, nodeState } from "./node-list.ts";

interface AdminOptions {
  readonly admin?: string;
  readonly json?: true;
}

/** `herald node show|label|ban|evict`. */
export function addNodeOrders(node: Command, shop: Shop): void {
  addShow(node, shop);
  addLabel(node, shop);
  addOrder(node, shop, {
    text: {
      name: "ban <node>",
      description:
        "sign nothing for a node from now on, and revoke what it holds; it stays until `node evict`",
      examples: ["herald node ban web-1"],
    },
    run: async (admin, id) => (await admin.banNode(id)).node,
    done: "banned",
  });
  addOrder(node, shop, {
    text: {
      name: "evict <node>",
      description:
        "forget a node and revoke what it holds; it may enrol anew, also if it was banned",
      examples: ["herald node evict spiffe://example.org/herald/node/join_token/web-1"],
    },
    run: async (admin, id) => (await admin.evictNode(id)).node,
    done: "evicted",
  });
}

function addOrder(
  node: Command,
  { surroundings }: Shop,
  order: {
    readonly text: VerbText;
    readonly run: (admin: Admin, id: string) => Promise<Node | undefined>;
    readonly done: string;
  },
): void {
  const verb = withAdmin(addVerb(node, order.text));
  verb.action(async (id: string) => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const told = await withIssuer(flag, surroundings, async (admin) => await order.run(admin, id));
    surroundings.out(
      json === true
        ? `${JSON.stringify({ [order.done]: told === undefined ? null : nodeJson(told) })}\n`
        : `${order.done}  ${told?.spiffeId ?? id}\nWhat it holds is revoked: \`herald svid list --revoked --node ${told?.spiffeId ?? id}\`.\n`,
    );
  });
}

function addLabel(node: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(node, {
      name: "label <node> <change...>",
      description: "set (name=value) and remove (name-) labels; what entries give follows at once",
      examples: ["herald node label web-1 region=eu canary-"],
    }),
  );
  verb.action(async (id: string, changes: readonly string[]) => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const request = { id, ...labelChange(changes) };
    const { withIssuer } = await import("../admin-client.ts");
    const { node: told } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.labelNode(request),
    );
    if (told === undefined) return;
    surroundings.out(
      json === true
        ? `${JSON.stringify({ node: nodeJson(told) })}\n`
        : `${told.spiffeId}  ${printLabels(told.labels)}\n`,
    );
  });
}

function labelChange(changes: readonly string[]): {
  readonly set: Map<string, string>;
  readonly remove: string[];
} {
  const set = new Map<string, string>();
  const remove: string[] = [];
  for (const change of changes) {
    const at = change.indexOf("=");
    const name = at === -1 ? change.replace(/-$/, "") : change.slice(0, at);
    if (name === "" || (at === -1 && !change.endsWith("-")) || set.has(name))
      throw new CliError("USAGE", `${JSON.stringify(change)} is no change of a label`, {
        cure: "write name=value to set one, name- to remove one, each name once",
        cause: new InvalidArgumentError(change),
      });
    if (at === -1) remove.push(name);
    else set.set(name, change.slice(at + 1));
  }
  return { set, remove };
}

function addShow(node: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(node, {
      name: "show <node>",
      description: "show one node: its keys, labels, what it acknowledged, and what it holds",
      examples: ["herald node show web-1"],
    }),
  );
  verb.action(async (id: string) => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const told = await withIssuer(flag, surroundings, async (admin) => await admin.getNode(id));
    surroundings.out(
      json === true
        ? `${JSON.stringify(detailJson(told))}\n`
        : detailText(told, surroundings.clock.now()),
    );
  });
}

function detailText(told: GetNodeResponse, now: number): string {
  const { node, currentKey, nextKey, retiredKeys, consumers, authorities, applied } = told;
  if (node === undefined) return "";
  return facts([
    ["node", node.spiffeId],
    ["attestor", node.attestor],
    ["state", nodeState(node, now)],
    ["labels", printLabels(node.labels)],
    ["enrolled", printMoment(node.enrolledAt, now)],
    ["SVID ends", printMoment(node.expiresAt, now)],
    ["key", currentKey],
    ...(nextKey === "" ? [] : [["next key", nextKey] as const]),
    ["retired keys", String(retiredKeys.length)],
    ["acknowledged", printMoment(node.acknowledgedAt, now)],
    ...authorities.map(
      ({ subjectKeyId, svids, until }) =>
        [
          "SVIDs of",
          `${subjectKeyId}: ${svids}, the last ends ${printMoment(until, now)}`,
        ] as const,
    ),
    ...consumers.map(
      ({ id, kind, connected, refusal }) =>
        [
          "consumer",
          `${id} (${kind}, ${connected ? "connected" : "away"})${refusal === "" ? "" : ` refused ${refusal}`}`,
        ] as const,
    ),
    ...[...applied].map(([key, version]) => ["applied", `${key} ${version}`] as const),
  ]);
}

function detailJson(told: GetNodeResponse): unknown {
  const { node, currentKey, nextKey, retiredKeys, consumers, authorities, applied } = told;
  return {
    node: node === undefined ? null : nodeJson(node),
    currentKey,
    nextKey: nextKey === "" ? null : nextKey,
    retiredKeys,
    consumers,
    authorities: authorities.map((one) => ({ ...one, until: isoOrNull(one.until) })),
    applied: Object.fromEntries(applied),
  };
}
