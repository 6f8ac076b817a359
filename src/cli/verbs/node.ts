import type { Command } from "commander";
import type { Node } from "../../wire/herald/v1/nodes.ts";
import { labels } from "../argument-parsers.ts";
import { isoOrNull, printMoment } from "../moment.ts";
import { printLabels, table } from "../table.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

interface AdminOptions {
  readonly admin?: string;
  readonly json?: true;
}

interface TokenOptions extends AdminOptions {
  readonly replace?: boolean;
  readonly name: string;
  readonly label?: ReadonlyMap<string, string>;
}

export function addNode(program: Command, shop: Shop): void {
  const node = addVerb(program, {
    name: "node",
    description: "run a node daemon until SIGTERM; it logs in JSON. Below: verbs about nodes",
    examples: [
      "herald node --config /etc/herald/node.yaml",
      "herald node --config /etc/herald/node.yaml --join herald1.…",
    ],
  })
    // Not requiredOption: commander would demand it of the verbs below too.
    .option("--config <file>", "its configuration, YAML")
    .option(
      "--join <string>",
      "join string of `herald node token`, used once; joinFile in the configuration hides it from `ps`",
    );
  node.action(async () => {
    const { config, join } = node.opts<{ readonly config?: string; readonly join?: string }>();
    if (config === undefined) {
      return node.error("error: required option '--config <file>' not specified");
    }
    const { runNode } = await import("../../daemon/node.ts");
    shop.finish(
      await runNode({ configPath: config, ...(join === undefined ? {} : { joinString: join }) }),
    );
  });
  addToken(node, shop);
  addList(node, shop);
}

function addToken(node: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(node, {
      name: "token",
      description: "make a one-time join string, by which one node enrols",
      examples: ["herald node token --name web-1 --label region=eu"],
    }),
  )
    .requiredOption("--name <name>", "the node's name: 1 to 64 of a-z, 0-9 and -")
    .option("--label <name=value>", "label that entries select the node by; repeatable", labels)
    .option(
      "--replace",
      "the name is known: whoever joins takes the place of a node that was lost",
    );
  verb.action(async () => {
    const { name, label, replace, admin: flag, json } = verb.opts<TokenOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const wanted = { nodeName: name, labels: new Map(label), replaces: replace === true };
    const made = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.createJoinToken(wanted),
    );
    const { joinString, enrolmentUrl, expiresAt } = made;
    surroundings.out(
      json === true
        ? `${JSON.stringify({ joinString, enrolmentUrl, expiresAt: isoOrNull(expiresAt) })}\n`
        : // The string alone on stdout: `herald node token --name n > join`.
          `${joinString}\n`,
    );
    if (json !== true) {
      surroundings.err(
        `For one node, once: its name ${name}, its issuerUrls ${enrolmentUrl}. Expires ${printMoment(expiresAt, surroundings.clock.now())}.\n`,
      );
    }
  });
}

function addList(node: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(node, {
      name: "list",
      description: "list the nodes that have enrolled",
      examples: ["herald node list"],
    }),
  );
  verb.action(async () => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { nodes } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.listNodes(),
    );
    if (json === true) {
      surroundings.out(`${JSON.stringify({ nodes: nodes.map(nodeJson) })}\n`);
      return;
    }
    const now = surroundings.clock.now();
    surroundings.out(
      nodes.length === 0
        ? "no node has enrolled; `herald node token --name NAME` makes a join string\n"
        : table(
            ["NODE", "LABELS", "STATE", "SVIDS", "CONSUMERS", "ACKNOWLEDGED", "EXPIRES"],
            nodes.map((one) => nodeRow(one, now)),
          ),
    );
  });
}

function nodeRow(node: Node, now: number): readonly string[] {
  const state = node.banned ? "banned" : Number(node.expiresAt) < now ? "expired" : "live";
  return [
    node.spiffeId,
    printLabels(node.labels),
    state,
    String(node.svids),
    String(node.consumers),
    printMoment(node.acknowledgedAt, now),
    printMoment(node.expiresAt, now),
  ];
}

function nodeJson(node: Node): unknown {
  return {
    ...node,
    labels: Object.fromEntries(node.labels),
    enrolledAt: isoOrNull(node.enrolledAt),
    expiresAt: isoOrNull(node.expiresAt),
    acknowledgedAt: isoOrNull(node.acknowledgedAt),
  };
}
