import { type Command, InvalidArgumentError } from "commander";
import { ControlTrust } from "../../core/envelope/trust.ts";
import { parseSpiffeId, type SpiffeId, type TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { ChainReport } from "../../issuer/audit/audit-verify.ts";
import { spiffeId, texts, trustDomain } from "../argument-parsers.ts";
import {
  type AskedWitness,
  checkChains,
  headFile,
  toldWitnesses,
  witnessFile,
} from "../audit-check.ts";
import { jsonText, printable } from "../audit-line.ts";
import { linesOf, readRequest, streamed, trustOf } from "../audit-source.ts";
import { CliError } from "../cli-error.ts";
import { exitCode } from "../exit-code.ts";
import { facts } from "../table.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

interface VerifyOptions {
  readonly admin?: string;
  readonly json?: true;
  readonly issuer?: SpiffeId;
  readonly fromFile?: string;
  readonly pin?: string;
  readonly trustDomain?: TrustDomain;
  readonly witness?: readonly string[];
  readonly head?: readonly string[];
}

interface Verified {
  readonly reports: readonly ChainReport[];
  readonly witnesses: readonly AskedWitness[];
}

/** `herald audit verify`. */
export function addAuditVerify(audit: Command, shop: Shop): void {
  const { surroundings, finish } = shop;
  const verb = withAdmin(
    addVerb(audit, {
      name: "verify",
      description:
        "check a chain from its first record to its last: signatures, order, hashes, and what witnesses saw of it. Exit code 1 when it is broken",
      examples: [
        "herald audit verify --witness file:/mnt/witness/herald",
        "herald audit verify --from-file audit.jsonl --trust-domain example.org --pin 06e3fd…",
      ],
    }),
  )
    .option("--issuer <id>", "SPIFFE ID of the issuer whose chain it is", spiffeId)
    .option("--from-file <file>", "check this file, an envelope a line; no issuer is asked")
    .option("--pin <hex>", "the control root's pin; without it the issuer's word is taken", pinText)
    .option("--trust-domain <name>", "with --from-file: whose records they are", trustDomain)
    .option("--witness <place>", "file:PATH of a witness; repeatable", texts)
    .option("--head <file>", "heads, an envelope a line, such as nodes keep; repeatable", texts);
  verb.action(async () => {
    const options = verb.opts<VerifyOptions>();
    const verified =
      options.fromFile === undefined
        ? await verifyStream(options, shop)
        : await verifyFile(options, options.fromFile);
    surroundings.out(
      options.json === true
        ? `${jsonText({ ...verified, whole: isWhole(verified) })}\n`
        : verifiedText(verified),
    );
    if (!isWhole(verified)) finish(exitCode.failed);
  });
}

async function verifyStream(options: VerifyOptions, { surroundings }: Shop): Promise<Verified> {
  const { withIssuer } = await import("../admin-client.ts");
  return await withIssuer(options.admin, surroundings, async (admin) => {
    // Asked before the chain is read: what they saw must be in it by then.
    const told = await admin.describeAudit();
    const trust = trustOf(told, options.pin);
    const witnesses = [...toldWitnesses(told, trust), ...(await given(options, trust))];
    const issuer = options.issuer ?? parseSpiffeId(told.issuer);
    const { signal } = new AbortController();
    const envelopes = bytesOf(streamed(admin, readRequest({ issuer }), signal));
    const seen = witnesses.flatMap(({ points }) => points);
    return { witnesses, reports: await checkChains(envelopes, { trust, issuer, seen }) };
  });
}

async function verifyFile(options: VerifyOptions, file: string): Promise<Verified> {
  const { pin, trustDomain: td, issuer } = options;
  if (pin === undefined || td === undefined)
    throw new CliError("USAGE", "--from-file needs --pin and --trust-domain", {
      cure: "give the pin that `herald init` printed; nothing in the file can be trusted to tell it",
    });
  const trust = new ControlTrust({ trustDomain: td, pin });
  const witnesses = await given(options, trust);
  const seen = witnesses.flatMap(({ points }) => points);
  return { witnesses, reports: await checkChains(linesOf(file), { trust, issuer, seen }) };
}

async function given(
  { witness = [], head = [] }: VerifyOptions,
  trust: ControlTrust,
): Promise<readonly AskedWitness[]> {
  const asked: AskedWitness[] = [];
  for (const place of witness) {
    if (!place.startsWith("file:"))
      throw new CliError("USAGE", `--witness ${place} is none`, {
        cure: "write file:PATH; the issuer's own witnesses are asked without being named",
      });
    asked.push(await witnessFile(place.slice(5), trust));
  }
  for (const file of head) asked.push(await headFile(file, trust));
  return asked;
}

async function* bytesOf(
  messages: AsyncIterable<{ readonly bytes: Uint8Array }>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { bytes } of messages) yield bytes;
}

function isWhole({ reports }: Verified): boolean {
  return reports.every(({ findings }) => findings.length === 0);
}

function verifiedText({ reports, witnesses }: Verified): string {
  const seen = witnesses.map(({ by, points, problem }) => {
    const told = `${points.length} checkpoint${points.length === 1 ? "" : "s"}`;
    return ["witness", `${by}: ${problem === "" ? told : `${told}; ${problem}`}`] as const;
  });
  if (reports.length === 0) return "there is no record\n";
  return reports
    .map((report) => chainText(report, seen))
    .join("\n")
    .split("\n")
    .map(printable)
    .join("\n");
}

function chainText(report: ChainReport, seen: readonly (readonly [string, string])[]): string {
  const { issuer, records, first, last, digest, witnessed, findings } = report;
  const head = facts([
    ["issuer", issuer],
    ["records", `${records} (${first} to ${last})`],
    ["last digest", digest],
    ...seen,
    ["witnessed up to", witnessed === 0n ? "nothing" : `record ${witnessed}`],
    ["result", findings.length === 0 ? "whole" : `BROKEN at record ${findings[0]?.n ?? first}`],
  ]);
  return `${head}${findings.map(({ code, text }) => `  ${code}  ${text}\n`).join("")}`;
}

function pinText(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError("Write 64 lower-case hex digits.");
  return text;
}
