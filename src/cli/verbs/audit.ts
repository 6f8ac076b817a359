import type { Command } from "commander";
import { parseSpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { type HeldSvid, type Holdings, HoldingsOf } from "../../issuer/audit/audit-holdings.ts";
import { isMeant } from "../../issuer/audit/audit-search.ts";
import type { Admin } from "../admin-client.ts";
import { count } from "../argument-parsers.ts";
import {
  jsonText,
  printable,
  purposeText,
  recordJson,
  recordLine,
  type ShownRecord,
} from "../audit-line.ts";
import { proven, readRequest, streamed, trustOf } from "../audit-source.ts";
import { CliError } from "../cli-error.ts";
import { isoSeconds, printMoment } from "../moment.ts";
import { table } from "../table.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";
import { addAuditVerify } from "./audit-verify.ts";

interface Common {
  readonly admin?: string;
  readonly issuer?: string;
  readonly json?: true;
}

interface TailOptions extends Common {
  readonly since?: number;
  readonly count?: number;
}

/** `herald audit tail|show|node|export|verify`. */
export function addAudit(program: Command, shop: Shop): void {
  const audit = addGroup(program, {
    name: "audit",
    description: "who was given what, by which request: the issuers' hash-chained records",
  });
  addTail(audit, shop);
  addShow(audit, shop);
  addNodeHoldings(audit, shop);
  addExport(audit, shop);
  addAuditVerify(audit, shop);
}

function withChain(verb: Command): Command {
  return withAdmin(verb).option(
    "--issuer <id>",
    "SPIFFE ID of the issuer whose chain it is (default: the one that answers)",
  );
}

function addTail(audit: Command, { surroundings }: Shop): void {
  const verb = withChain(
    addVerb(audit, {
      name: "tail",
      description: "print records as they come, until Ctrl-C",
      examples: ["herald audit tail", "herald audit tail --since 1 --count 10 --json"],
    }),
  )
    .option(
      "--since <sequence>",
      "begin with this sequence of the stream; 1 for all that are kept (default: new ones only)",
      count,
    )
    .option("--count <number>", "end after so many", count);
  verb.action(async () => {
    const options = verb.opts<TailOptions>();
    const { issuer = "", since = 0, count: most = Number.POSITIVE_INFINITY } = options;
    const request = readRequest({ issuer, since: BigInt(since), follow: true });
    await whileUninterrupted({ surroundings }, async (signal) => {
      const { withIssuer } = await import("../admin-client.ts");
      await withIssuer(options.admin, surroundings, async (admin) => {
        const trust = trustOf(await admin.describeAudit(), undefined);
        let left = most;
        if (left === 0) return;
        for await (const { sequence, bytes } of streamed(admin, request, signal)) {
          surroundings.out(tailLine(sequence, proven(bytes, trust), options.json === true));
          left -= 1;
          if (left === 0) return;
        }
      });
    });
  });
}

function tailLine(sequence: bigint, record: ShownRecord | string, json: boolean): string {
  if (json) {
    const told = typeof record === "string" ? { problem: record } : { record: recordJson(record) };
    return `${JSON.stringify({ sequence: Number(sequence), ...told })}\n`;
  }
  if (typeof record !== "string") return recordLine(record);
  return `${printable(`-  (sequence ${sequence}) no issuer signed this: ${record}`)}\n`;
}

function addShow(audit: Command, { surroundings }: Shop): void {
  const verb = withChain(
    addVerb(audit, {
      name: "show <what>",
      description:
        "show the record of a number, of a certificate's serial, or of a SHA-256 (of the certificate's signed part, or of the record)",
      examples: ["herald audit show 42", "herald audit show 4a3f09c2b17d80e5"],
    }),
  );
  verb.action(async (what: string) => {
    const options = verb.opts<Common>();
    const find = what.toLowerCase().replaceAll(":", "");
    const request = readRequest({ issuer: options.issuer ?? "", find });
    const { withIssuer } = await import("../admin-client.ts");
    const found = await withIssuer(
      options.admin,
      surroundings,
      async (admin) => await firstMeant(admin, request, find),
    );
    if (found === undefined)
      throw new CliError("ADMIN_REFUSED", `no record of ${printable(what)} is kept`, {
        reason: "AUDIT_NOT_FOUND",
        cure: "herald audit tail --since 1 shows what is",
      });
    const told = jsonText(recordJson(found));
    surroundings.out(
      options.json === true
        ? `${told}\n`
        : `${recordLine(found)}${JSON.stringify(JSON.parse(told), null, 2).split("\n").map(printable).join("\n")}\n`,
    );
  });
}

async function firstMeant(
  admin: Admin,
  request: ReturnType<typeof readRequest>,
  find: string,
): Promise<ShownRecord | undefined> {
  const trust = trustOf(await admin.describeAudit(), undefined);
  const stop = new AbortController();
  try {
    for await (const { bytes } of streamed(admin, request, stop.signal)) {
      const record = proven(bytes, trust);
      if (typeof record !== "string" && isMeant(record, find)) return record;
    }
    return undefined;
  } finally {
    stop.abort();
  }
}

function addNodeHoldings(audit: Command, { surroundings }: Shop): void {
  const verb = withChain(
    addVerb(audit, {
      name: "node <id>",
      description: "show what a node holds now, and by which request it got it",
      examples: ["herald audit node spiffe://example.org/herald/node/join_token/web-1"],
    }),
  );
  verb.action(async (id: string) => {
    const options = verb.opts<Common>();
    const now = surroundings.clock.now();
    const { withIssuer } = await import("../admin-client.ts");
    const { node, holdings } = await withIssuer(options.admin, surroundings, async (admin) => {
      const known = id.startsWith("spiffe://") ? id : (await admin.getNode(id)).node?.spiffeId;
      const spiffeId = parseSpiffeId(known ?? id);
      const held = new HoldingsOf(spiffeId, now);
      const trust = trustOf(await admin.describeAudit(), undefined);
      const request = readRequest({ issuer: options.issuer ?? "", node: spiffeId });
      const { signal } = new AbortController();
      for await (const { bytes } of streamed(admin, request, signal)) {
        const record = proven(bytes, trust);
        if (typeof record !== "string") held.take(record.payload);
      }
      return { node: spiffeId, holdings: held.holdings() };
    });
    surroundings.out(
      options.json === true ? `${jsonText({ node, ...holdings })}\n` : holdingsText(holdings, now),
    );
  });
}

function holdingsText(holdings: Holdings, now: number): string {
  const { svids, history, refusedCsrs, refusedRequests } = holdings;
  const lines = history.map((payload) => recordLine({ payload, digest: "" })).join("");
  const refused = `refused so far: ${refusedCsrs} CSRs, ${refusedRequests} requests\n`;
  const held =
    svids.length === 0
      ? "holds no SVID that has not expired\n"
      : table(
          ["SPIFFE ID", "SERIAL", "EXPIRES", "REVOKED", "ENTRY", "FOR", "RECORD"],
          svids.map((svid) => heldRow(svid, now).map(printable)),
        );
  return `${lines}${refused}\n${held}`;
}

function heldRow(svid: HeldSvid, now: number): readonly string[] {
  return [
    svid.spiffeId,
    svid.serial,
    printMoment(svid.notAfter, now),
    svid.revoked ? "yes" : "-",
    `${svid.entry} (revision ${svid.revision})`,
    purposeText(svid.purpose),
    `${svid.n} of ${isoSeconds(svid.at)}`,
  ];
}

function addExport(audit: Command, { surroundings }: Shop): void {
  const verb = withChain(
    addVerb(audit, {
      name: "export",
      description:
        "print a chain as it is kept, an envelope a line: for `audit verify --from-file`, or a verifier of your own",
      examples: ["herald audit export > audit.jsonl"],
    }),
  ).option("--since <sequence>", "begin with this sequence of the stream", count);
  verb.action(async () => {
    const options = verb.opts<TailOptions>();
    const request = readRequest({
      issuer: options.issuer ?? "",
      since: BigInt(options.since ?? 0),
    });
    await whileUninterrupted({ surroundings }, async (signal) => {
      const { withIssuer } = await import("../admin-client.ts");
      await withIssuer(options.admin, surroundings, async (admin) => {
        for await (const { bytes } of streamed(admin, request, signal))
          surroundings.out(`${Buffer.from(bytes).toString("utf8")}\n`);
      });
    });
  });
}

async function whileUninterrupted(
  { surroundings }: Pick<Shop, "surroundings">,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interrupt = new AbortController();
  const forget = surroundings.onInterrupt(() => interrupt.abort());
  try {
    await run(interrupt.signal);
  } finally {
    forget();
  }
}
