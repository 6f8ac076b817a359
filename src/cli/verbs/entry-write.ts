import { type Command, InvalidArgumentError, Option } from "commander";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Entry, EntrySpec, LintFinding } from "../../wire/herald/v1/entries.ts";
import {
  givenId,
  integer,
  labels,
  momentToCome,
  seconds,
  selectors,
  spiffeIds,
  texts,
  trustDomains,
} from "../argument-parsers.ts";
import { CliError } from "../cli-error.ts";
import { entryLine, shownEntry, warningLines } from "../entry-text.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

interface WriteOptions {
  readonly admin?: string;
  readonly json?: true;
  readonly allow?: readonly string[];
  readonly spiffeId?: string;
  readonly selector?: readonly string[];
  readonly node?: readonly SpiffeId[];
  readonly nodeLabel?: ReadonlyMap<string, string>;
  readonly allNodes?: true;
  readonly ttl?: number;
  readonly jwtTtl?: number;
  readonly dnsName?: readonly string[];
  readonly federatesWith?: readonly TrustDomain[];
  readonly hint?: string;
  readonly isAdmin?: boolean;
  readonly priority?: number;
  readonly allowedPeer?: readonly string[];
  readonly expiresAt?: number;
  readonly onDemand?: boolean;
  readonly clear?: readonly string[];
}

/** What an entry is before anything is said of it. */
const blank: EntrySpec = {
  spiffeId: "",
  nodes: undefined,
  selectors: [],
  x509TtlSeconds: 0,
  jwtTtlSeconds: 0,
  dnsNames: [],
  federatesWith: [],
  hint: "",
  admin: false,
  priority: 0,
  allowedPeers: [],
  expiresAt: 0n,
  onDemand: false,
  name: "",
};

/** What `--clear` can empty, by the option that fills it. */
const clearable: Readonly<Record<string, Partial<EntrySpec>>> = {
  "dns-name": { dnsNames: [] },
  "federates-with": { federatesWith: [] },
  hint: { hint: "" },
  "allowed-peer": { allowedPeers: [] },
  "expires-at": { expiresAt: 0n },
};

export function addEntryCreate(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "create",
      description: "create an entry; its Envoys have the identity some milliseconds later",
      examples: [
        "herald entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000",
        "herald entry create --spiffe-id spiffe://example.org/db --selector unix:uid:70 --node-label role=db --ttl 30m --dns-name db.internal",
        "herald entry create --spiffe-id 'spiffe://example.org/{node.label.region}/{unix.user}' --selector unix:gid:100",
      ],
    }),
  )
    .requiredOption("--spiffe-id <id>", "the identity to give, or a template of one", givenId)
    .requiredOption(
      "--selector <type:value>",
      "what the process must have; repeatable, all must hold",
      selectors,
    );
  withFields(verb, surroundings);
  verb.action(async () => {
    const options = verb.opts<WriteOptions>();
    const request = { entry: changed(blank, options), allow: options.allow ?? [] };
    const { withIssuer } = await import("../admin-client.ts");
    const made = await withIssuer(
      options.admin,
      surroundings,
      async (admin) => await admin.createEntry(request),
    );
    tell(made, { what: "created", json: options.json === true, surroundings });
  });
}

export function addEntryUpdate(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "update <id>",
      description:
        "change what is named of an entry, the rest stays; refused when somebody else has changed it since the revision",
      examples: [
        "herald entry update 5f1c2e --revision 4102 --ttl 30m",
        "herald entry update 5f1c2e --revision 4103 --dns-name a.internal --dns-name b.internal --clear hint",
      ],
    }),
  )
    .requiredOption("--revision <number>", "the one that `herald entry show` told", revision)
    .option("--spiffe-id <id>", "the identity to give, or a template of one", givenId)
    .option("--selector <type:value>", "all that the process must have; repeatable", selectors)
    .option("--all-nodes", "on every node");
  withFields(verb, surroundings);
  verb.addOption(
    new Option("--clear <field>", "empty it; repeatable").argParser((text, before) =>
      clearing(text, before as readonly string[] | undefined),
    ),
  );
  verb.action(async (id: string) => {
    const options = verb.opts<WriteOptions & { readonly revision: string }>();
    const { withIssuer } = await import("../admin-client.ts");
    const made = await withIssuer(options.admin, surroundings, async (admin) => {
      const { entry: held } = await admin.getEntry({ id });
      const entry = changed(held === undefined ? blank : specOf(held), options);
      const { revision: told, allow = [] } = options;
      // Made of another revision than the one that was told, it is refused there.
      return await admin.updateEntry({ id, revision: told, entry, allow });
    });
    tell(made, { what: "updated", json: options.json === true, surroundings });
  });
}

/** What both can say of an entry. */
function withFields(verb: Command, { clock }: Shop["surroundings"]): void {
  verb
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
    .option("--jwt-ttl <time>", "lifetime of its JWT-SVIDs (default: 5m)", seconds)
    .option("--dns-name <name>", "DNS name in its X.509-SVIDs; repeatable", texts)
    .option(
      "--federates-with <trust domain>",
      "foreign trust domain whose bundle its workloads are given; repeatable",
      trustDomains,
    )
    .option("--hint <text>", "tells a program with several identities which is which")
    .option("--is-admin", "its workloads may give orders to issuers")
    .option("--no-is-admin", "they may not")
    .option(
      "--priority <number>",
      "higher ones come first among a program's identities (default: 0)",
      integer,
    )
    .option(
      "--allowed-peer <id>",
      "whom its workloads talk to: a SPIFFE ID, or spiffe://td/path/*; repeatable (default: anybody)",
      texts,
    )
    .option(
      "--expires-at <time>",
      "from then on it gives nothing: 2027-01-31T12:00:00Z, or 90d from now",
      (text) => momentToCome(text, clock.now()),
    )
    .option("--on-demand", "sign when a workload asks, instead of ahead of it")
    .option("--no-on-demand", "sign ahead")
    .option(
      "--allow <rule>",
      "override a rule of the linter, such as TM-W-03, where it may be; repeatable, and recorded",
      texts,
    );
}

/** A specification with everything that the command line names. */
function changed(spec: EntrySpec, options: WriteOptions): EntrySpec {
  const { node, nodeLabel, allNodes } = options;
  if ([node, nodeLabel, allNodes].filter((given) => given !== undefined).length > 1) {
    const given = allNodes === true ? "--all-nodes, --node" : "--node";
    throw new CliError("USAGE", `${given} and --node-label exclude each other`, {
      cure: "select nodes by their IDs or by their labels; for both create two entries",
    });
  }
  const isChosen = node !== undefined || nodeLabel !== undefined || allNodes === true;
  const said: Partial<EntrySpec> = {
    ...set("spiffeId", options.spiffeId),
    ...set("selectors", options.selector),
    ...(isChosen ? { nodes: { ids: node ?? [], labels: new Map(nodeLabel) } } : {}),
    ...set("x509TtlSeconds", options.ttl),
    ...set("jwtTtlSeconds", options.jwtTtl),
    ...set("dnsNames", options.dnsName),
    ...set("federatesWith", options.federatesWith),
    ...set("hint", options.hint),
    ...set("admin", options.isAdmin),
    ...set("priority", options.priority),
    ...set("allowedPeers", options.allowedPeer),
    ...set("onDemand", options.onDemand),
    ...(options.expiresAt === undefined ? {} : { expiresAt: BigInt(options.expiresAt) }),
  };
  const cleared = (options.clear ?? []).map((field) => clearable[field] ?? {});
  return Object.assign(
    {},
    { ...spec, nodes: spec.nodes ?? noNodes },
    said,
    ...cleared,
  ) as EntrySpec;
}

const noNodes = { ids: [], labels: new Map<string, string>() };

function set<K extends keyof EntrySpec>(
  key: K,
  value: EntrySpec[K] | undefined,
): Partial<EntrySpec> {
  return value === undefined ? {} : ({ [key]: value } as Partial<EntrySpec>);
}

function specOf(entry: Entry): EntrySpec {
  const { id: _id, revision: _revision, createdAt: _createdAt, set: _set, ...spec } = entry;
  return spec;
}

function tell(
  made: { readonly entry: Entry | undefined; readonly warnings: readonly LintFinding[] },
  how: {
    readonly what: string;
    readonly json: boolean;
    readonly surroundings: Shop["surroundings"];
  },
): void {
  const { what, json, surroundings } = how;
  if (!json) surroundings.err(warningLines(made.warnings));
  surroundings.out(json ? entryLine(made.entry, made.warnings) : shownEntry(made.entry, what));
}

function revision(text: string): string {
  if (!/^\d{1,20}$/.test(text)) throw new InvalidArgumentError("Write the number.");
  return text;
}

function clearing(text: string, before: readonly string[] | undefined): readonly string[] {
  if (clearable[text] === undefined)
    throw new InvalidArgumentError(`Name one of ${Object.keys(clearable).join(", ")}.`);
  return [...(before ?? []), text];
}
