import type { Command } from "commander";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { RevokeSvidsRequest } from "../../wire/herald/v1/svids.ts";
import { count, moment, seconds, spiffeId, texts } from "../argument-parsers.ts";
import { CliError } from "../cli-error.ts";
import { exitCode } from "../exit-code.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";

interface AdminOptions {
  readonly admin?: string;
  readonly json?: true;
}

interface TargetOptions {
  readonly entry?: string;
  readonly node?: SpiffeId;
  readonly spiffeId?: SpiffeId;
}

interface ListOptions extends AdminOptions, TargetOptions {
  readonly authority?: string;
  readonly revoked?: true;
  readonly limit: number;
  readonly page?: string;
}

interface RevokeOptions extends AdminOptions, TargetOptions {
  readonly serial?: string;
  readonly reason: string;
  readonly authority?: string;
  readonly notAfter?: number;
}

interface MintOptions extends AdminOptions {
  readonly spiffeId: SpiffeId;
  readonly write: string;
  readonly reason: string;
  readonly ttl?: number;
  readonly dns?: readonly string[];
}

export function addSvid(program: Command, shop: Shop): void {
  const svid = addGroup(program, {
    name: "svid",
    description: "X.509-SVIDs that were issued: which are alive, and ending them early",
  });
  addList(svid, shop);
  addShow(svid, shop);
  addRevoke(svid, shop);
  addMint(svid, shop);
}

function addList(svid: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(svid, {
      name: "list",
      description: "list live SVIDs, newest first; all that is given must fit",
      examples: [
        "herald svid list --node spiffe://example.org/herald/node/join_token/web-1",
        "herald svid list --revoked --json",
      ],
    }),
  )
    .option("--entry <id>", "only those of this entry")
    .option("--node <id>", "only those that this node asked for, and its own", spiffeId)
    .option("--spiffe-id <id>", "only those with this identity", spiffeId)
    .option("--authority <id>", "only those that this authority signed")
    .option("--revoked", "those that are revoked, newest revocation first")
    .option("--limit <number>", "how many, up to 1000", count, 100)
    .option("--page <token>", "go on where the list before ended");
  verb.action(async () => {
    const options = verb.opts<ListOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { historyJson, historyNote, printSvids, svidJson } = await import("../svid-text.ts");
    const { svids, nextPageToken, history } = await withIssuer(
      options.admin,
      surroundings,
      async (admin) =>
        await admin.listSvids({
          entry: options.entry ?? "",
          node: options.node ?? "",
          spiffeId: options.spiffeId ?? "",
          authority: options.authority ?? "",
          revoked: options.revoked === true,
          pageSize: options.limit,
          pageToken: options.page ?? "",
        }),
    );
    if (options.json === true) {
      const next = nextPageToken === "" ? null : nextPageToken;
      surroundings.out(
        `${JSON.stringify({ svids: svids.map(svidJson), next, history: historyJson(history) })}\n`,
      );
      return;
    }
    const text =
      svids.length === 0 ? "no such SVID\n" : printSvids(svids, surroundings.clock.now());
    const more = nextPageToken === "" ? "" : `more: --page ${nextPageToken}\n`;
    surroundings.out(`${text}${more}${historyNote(history)}`);
  });
}

function addShow(svid: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(svid, {
      name: "show <serial>",
      description: "show one SVID that is alive or revoked",
      examples: ["herald svid show 4f0d5a7c21e9b8d3a6f1c2e45b7d9081"],
    }),
  );
  verb.action(async (serial: string) => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { printSvid, svidJson } = await import("../svid-text.ts");
    const { svid: found } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.getSvid({ serial }),
    );
    if (found === undefined) return;
    surroundings.out(
      json === true
        ? `${JSON.stringify({ svid: svidJson(found) })}\n`
        : printSvid(found, surroundings.clock.now()),
    );
  });
}

function addRevoke(svid: Command, { surroundings, finish }: Shop): void {
  const verb = withAdmin(
    addVerb(svid, {
      name: "revoke",
      description:
        "end SVIDs before their time: Envoys refuse them some milliseconds later. Answers once it is recorded and nodes can read it; giving it again changes nothing",
      examples: [
        "herald svid revoke --serial 4f0d5a7c21e9b8d3a6f1c2e45b7d9081 --reason keyCompromise",
        "herald svid revoke --entry 5f1c2e",
        "herald svid revoke --serial 4f0d5a7c21e9b8d3a6f1c2e45b7d9081 --authority k2v7 --not-after 2026-11-23T12:00:00Z",
      ],
    }),
  )
    .option("--serial <hex>", "one SVID, as `openssl x509 -serial` shows it")
    .option("--entry <id>", "all live SVIDs of an entry")
    .option("--node <id>", "all live SVIDs that a node asked for, and its own", spiffeId)
    .option("--spiffe-id <id>", "all live SVIDs with an identity", spiffeId)
    .option(
      "--reason <name>",
      "unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn",
      "unspecified",
    )
    .option(
      "--authority <id>",
      "with --serial, for one that the issuer does not know: who signed it",
    )
    .option(
      "--not-after <time>",
      "and when it ends, or no earlier than that: 2026-11-23T12:00:00Z",
      moment,
    );
  verb.action(async () => {
    const options = verb.opts<RevokeOptions>();
    const request = requestOf(options);
    const { withIssuer } = await import("../admin-client.ts");
    const { historyJson, printRevoked, svidJson } = await import("../svid-text.ts");
    const answer = await withIssuer(
      options.admin,
      surroundings,
      async (admin) => await admin.revokeSvids(request),
    );
    const { revoked, already, unenforced, history } = answer;
    const json = {
      revoked: revoked.map(svidJson),
      already: already.map(svidJson),
      unenforced,
      history: historyJson(history),
    };
    surroundings.out(
      options.json === true
        ? `${JSON.stringify(json)}\n`
        : printRevoked(answer, surroundings.clock.now()),
    );
    if (unenforced.length > 0) finish(exitCode.failed);
  });
}

function requestOf(options: RevokeOptions): RevokeSvidsRequest {
  const { serial, entry, node, spiffeId: id, reason, authority = "", notAfter = 0 } = options;
  const targets = [
    ...(serial === undefined ? [] : [{ $case: "serial", value: serial } as const]),
    ...(entry === undefined ? [] : [{ $case: "entry", value: entry } as const]),
    ...(node === undefined ? [] : [{ $case: "node", value: node } as const]),
    ...(id === undefined ? [] : [{ $case: "spiffeId", value: id } as const]),
  ];
  const [target] = targets;
  if (target === undefined || targets.length > 1) {
    throw new CliError("USAGE", "revoke takes one of --serial, --entry, --node and --spiffe-id", {
      cure: "herald svid list shows what is alive",
    });
  }
  if ((authority === "") !== (notAfter === 0) || (authority !== "" && serial === undefined)) {
    throw new CliError("USAGE", "--authority and --not-after go together, and with --serial", {
      cure: "leave both out for an SVID that herald svid list shows",
    });
  }
  return { target, reason, authority, notAfter: BigInt(notAfter) };
}

function addMint(svid: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(svid, {
      name: "mint",
      description:
        "make an SVID by hand, for recovery: its key is made here and never leaves this machine; it is short, of no entry, and audited with the reason",
      examples: [
        'herald svid mint --spiffe-id spiffe://example.org/db --reason "INC-4711: node lost" --write ./db',
      ],
    }),
  )
    .requiredOption("--spiffe-id <id>", "the identity to give", spiffeId)
    .requiredOption("--reason <text>", "what it is for, for the audit chain")
    .requiredOption(
      "--write <dir>",
      "write svid.pem, key.pem and bundle.pem there, for this user's eyes only",
    )
    .option(
      "--ttl <time>",
      "lifetime: seconds, or 90s, 10m (default: the issuer's limit, 1h)",
      seconds,
    )
    .option("--dns <name>", "DNS name in it; repeatable", texts);
  verb.action(async () => {
    const options = verb.opts<MintOptions>();
    const { mintSvid } = await import("../mint-svid.ts");
    const { printSvid, svidJson } = await import("../svid-text.ts");
    const { svid: minted, files } = await mintSvid(options, surroundings);
    surroundings.out(
      options.json === true
        ? `${JSON.stringify({ svid: svidJson(minted), written: files })}\n`
        : `${printSvid(minted, surroundings.clock.now())}${files.map((file) => `wrote ${file}\n`).join("")}`,
    );
  });
}
