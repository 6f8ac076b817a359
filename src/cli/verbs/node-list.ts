import type { Command } from "commander";
import type { ListNodesRequest, Node } from "../../wire/herald/v1/nodes.ts";
import type { Admin } from "../admin-client.ts";
import { labels, seconds } from "../argument-parsers.ts";
import { isoOrNull, printMoment } from "../moment.ts";
import { printLabels, table } from "../table.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

interface ListOptions {
  readonly admin?: string;
  readonly json?: true;
  readonly label?: ReadonlyMap<string, string>;
  readonly banned?: boolean;
  readonly attestor?: string;
  readonly expiringIn?: number;
}

const pageSize = 500;

/** `herald node list`. */
export function addNodeList(node: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(node, {
      name: "list",
      description: "list the nodes that have enrolled",
      examples: ["herald node list", "herald node list --label region=eu --expiring-in 6h"],
    }),
  )
    .option("--label <name=value>", "only nodes with this label; repeatable", labels)
    .option("--banned", "only banned ones")
    .option("--no-banned", "only those that are not banned")
    .option("--attestor <name>", "only nodes that enrolled so: join_token or x509pop")
    .option("--expiring-in <duration>", "only nodes whose SVID ends within, such as 6h", seconds);
  verb.action(async () => {
    const options = verb.opts<ListOptions>();
    const now = surroundings.clock.now();
    const request = requestOf(options, now);
    const { withIssuer } = await import("../admin-client.ts");
    const nodes = await withIssuer(
      options.admin,
      surroundings,
      async (admin) => await allOf(admin, request),
    );
    if (options.json === true) {
      surroundings.out(`${JSON.stringify({ nodes: nodes.map(nodeJson) })}\n`);
      return;
    }
    surroundings.out(nodes.length === 0 ? noneText(request) : nodeTable(nodes, now));
  });
}

function requestOf(options: ListOptions, now: number): ListNodesRequest {
  const { label, banned, attestor, expiringIn } = options;
  return {
    labels: new Map(label),
    banned,
    attestor: attestor ?? "",
    expiringBefore: BigInt(expiringIn === undefined ? 0 : now + expiringIn * 1000),
    pageSize,
    pageToken: "",
  };
}

async function allOf(admin: Admin, first: ListNodesRequest): Promise<readonly Node[]> {
  const nodes: Node[] = [];
  let pageToken = first.pageToken;
  do {
    const page = await admin.listNodes({ ...first, pageToken });
    nodes.push(...page.nodes);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return nodes;
}

function noneText({ labels: wanted, banned, attestor, expiringBefore }: ListNodesRequest): string {
  const isFiltered =
    wanted.size > 0 || banned !== undefined || attestor !== "" || expiringBefore > 0n;
  return isFiltered
    ? "no node fits\n"
    : "no node has enrolled; `herald node token --name NAME` makes a join string\n";
}

function nodeTable(nodes: readonly Node[], now: number): string {
  return table(
    ["NODE", "LABELS", "STATE", "SVIDS", "CONSUMERS", "ACKNOWLEDGED", "EXPIRES"],
    nodes.map((one) => [
      one.spiffeId,
      printLabels(one.labels),
      nodeState(one, now),
      String(one.svids),
      String(one.consumers),
      printMoment(one.acknowledgedAt, now),
      printMoment(one.expiresAt, now),
    ]),
  );
}

/** In a word. */
export function nodeState(node: Node, now: number): string {
  if (node.banned) return "banned";
  return Number(node.expiresAt) < now ? "expired" : "live";
}

/** For `--json`. */
export function nodeJson(node: Node): Readonly<Record<string, unknown>> {
  return {
    ...node,
    labels: Object.fromEntries(node.labels),
    enrolledAt: isoOrNull(node.enrolledAt),
    expiresAt: isoOrNull(node.expiresAt),
    acknowledgedAt: isoOrNull(node.acknowledgedAt),
  };
}
