import type { Command } from "commander";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { CreateEntryRequest, Entry } from "../../wire/herald/v1/entries.ts";
import {
  integer,
  labels,
  seconds,
  selectors,
  spiffeId,
  spiffeIds,
  texts,
} from "../argument-parsers.ts";
import { CliError } from "../cli-error.ts";
import { isoOrNull, printMoment, printSpan } from "../moment.ts";
import { facts, listed, printLabels, table } from "../table.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";

interface AdminOptions {
  readonly admin?: string;
  readonly json?: true;
}

interface CreateOptions extends AdminOptions {
  readonly spiffeId: SpiffeId;
  readonly selector: readonly string[];
  readonly node?: readonly SpiffeId[];
  readonly nodeLabel?: ReadonlyMap<string, string>;
  readonly ttl?: number;
  readonly dnsName?: readonly string[];
  readonly hint?: string;
  readonly priority?: number;
}

export function addEntry(program: Command, shop: Shop): void {
  const entry = addGroup(program, {
    name: "entry",
    description: "entries: who, on which nodes, gets which SPIFFE ID",
  });
  addCreate(entry, shop);
  addList(entry, shop);
  addDelete(entry, shop);
}

function addCreate(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "create",
      description: "create an entry; its Envoys have the identity some milliseconds later",
      examples: [
        "herald entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000",
        "herald entry create --spiffe-id spiffe://example.org/db --selector unix:uid:70 --node-label role=db --ttl 30m --dns-name db.internal",
      ],
    }),
  )
    .requiredOption("--spiffe-id <id>", "the identity to give", spiffeId)
    .requiredOption(
      "--selector <type:value>",
      "what the process must have; repeatable, all must hold",
      selectors,
    )
    .option(
      "--node <id>",
      "SPIFFE ID of a node on which it holds; repeatable (default: every node)",
      spiffeIds,
    )
    .option(
      "--node-label <name=value>",
      "label of the nodes on which it holds; repeatable, all must hold",
      labels,
    )
    .option(
      "--ttl <time>",
      "lifetime of its X.509-SVIDs: seconds, or 90s, 10m, 24h (default: the issuer's)",
      seconds,
    )
    .option("--dns-name <name>", "DNS name in its X.509-SVIDs; repeatable", texts)
    .option("--hint <text>", "tells a program with several identities which is which")
    .option(
      "--priority <number>",
      "higher ones come first among a program's identities (default: 0)",
      integer,
    );
  verb.action(async () => {
    const options = verb.opts<CreateOptions>();
    const request = requestOf(options);
    const { withIssuer } = await import("../admin-client.ts");
    const made = await withIssuer(
      options.admin,
      surroundings,
      async (admin) => await admin.createEntry(request),
    );
    surroundings.out(options.json === true ? entryLine(made.entry) : shown(made.entry, "created"));
  });
}

function requestOf(options: CreateOptions): CreateEntryRequest {
  if (options.node !== undefined && options.nodeLabel !== undefined) {
    throw new CliError("USAGE", "--node and --node-label exclude each other", {
      cure: "select nodes by their IDs or by their labels; for both create two entries",
    });
  }
  return {
    spiffeId: options.spiffeId,
    selectors: options.selector,
    nodes: { ids: options.node ?? [], labels: new Map(options.nodeLabel) },
    x509TtlSeconds: options.ttl ?? 0,
    dnsNames: options.dnsName ?? [],
    hint: options.hint ?? "",
    priority: options.priority ?? 0,
  };
}

function addList(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "list",
      description: "list entries",
      examples: [
        "herald entry list",
        "herald entry list --spiffe-id spiffe://example.org/web --json",
      ],
    }),
  ).option("--spiffe-id <id>", "only those with this identity", spiffeId);
  verb.action(async () => {
    const {
      admin: flag,
      json,
      spiffeId: wanted,
    } = verb.opts<AdminOptions & { readonly spiffeId?: SpiffeId }>();
    const { withIssuer } = await import("../admin-client.ts");
    const { entries } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.listEntries({ spiffeId: wanted ?? "" }),
    );
    if (json === true) {
      surroundings.out(`${JSON.stringify({ entries: entries.map(entryJson) })}\n`);
      return;
    }
    const now = surroundings.clock.now();
    surroundings.out(
      entries.length === 0
        ? "no entries; `herald entry create` makes one\n"
        : table(
            ["ID", "SPIFFE ID", "SELECTORS", "NODES", "TTL", "PRIORITY", "CREATED"],
            entries.map((one) => entryRow(one, now)),
          ),
    );
  });
}

function addDelete(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "delete <id>",
      description: "delete an entry; SVIDs that were given live on until they expire",
      examples: ["herald entry delete 5f1c2e"],
    }),
  );
  verb.action(async (id: string) => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const gone = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.deleteEntry({ id }),
    );
    surroundings.out(json === true ? entryLine(gone.entry) : shown(gone.entry, "deleted"));
  });
}

function entryRow(entry: Entry, now: number): readonly string[] {
  return [
    entry.id,
    entry.spiffeId,
    listed(entry.selectors),
    nodesOf(entry),
    printSpan(entry.x509TtlSeconds * 1000),
    String(entry.priority),
    printMoment(entry.createdAt, now),
  ];
}

function shown(entry: Entry | undefined, what: string): string {
  if (entry === undefined) return `${what}\n`;
  return facts([
    [what, entry.id],
    ["SPIFFE ID", entry.spiffeId],
    ["selectors", listed(entry.selectors)],
    ["nodes", nodesOf(entry)],
    ["lifetime", `${entry.x509TtlSeconds} s`],
    ...(entry.dnsNames.length === 0 ? [] : [["DNS names", listed(entry.dnsNames)] as const]),
    ...(entry.hint === "" ? [] : [["hint", entry.hint] as const]),
    ["priority", String(entry.priority)],
  ]);
}

function nodesOf(entry: Entry): string {
  const { ids = [], labels: wanted = new Map<string, string>() } = entry.nodes ?? {};
  if (ids.length > 0) return listed(ids);
  return wanted.size > 0 ? printLabels(wanted) : "all";
}

function entryLine(entry: Entry | undefined): string {
  return `${JSON.stringify({ entry: entry === undefined ? null : entryJson(entry) })}\n`;
}

function entryJson(entry: Entry): unknown {
  return {
    ...entry,
    nodes: { ids: entry.nodes?.ids ?? [], labels: Object.fromEntries(entry.nodes?.labels ?? []) },
    createdAt: isoOrNull(entry.createdAt),
  };
}
