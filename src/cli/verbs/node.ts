import type { Command } from "commander";
import { labels } from "../argument-parsers.ts";
import { isoOrNull, printMoment } from "../moment.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";
import { addNodeList } from "./node-list.ts";
import { addNodeOrders } from "./node-orders.ts";

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
  addNodeList(node, shop);
  addNodeOrders(node, shop);
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
