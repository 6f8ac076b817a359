import type { Command } from "commander";
import {
  type Finding,
  Finding_Result,
  type GetStatusResponse,
} from "../../wire/herald/v1/admin.ts";
import { exitCode } from "../exit-code.ts";
import { facts } from "../table.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

/** A finding as it is shown. */
interface Check {
  readonly result: "ok" | "failed" | "unknown";
  readonly check: string;
  readonly detail: string;
  readonly cure: string;
}

export function addDoctor(program: Command, { surroundings, finish }: Shop): void {
  const verb = withAdmin(
    addVerb(program, {
      name: "doctor",
      description: "check an issuer and its surroundings; exit code 1 when something has failed",
      examples: ["herald doctor", "herald doctor --admin unix:///run/herald/admin.sock --json"],
    }),
  );
  verb.action(async () => {
    const { admin: flag, json } = verb.opts<{ readonly admin?: string; readonly json?: true }>();
    const { withIssuer } = await import("../admin-client.ts");
    const status = await withIssuer(flag, surroundings, async (admin) => await admin.getStatus());
    const checks = [...ownChecks(status), ...status.findings.map(checkOf)];
    const { findings: _, ...facts } = status;
    surroundings.out(
      json === true ? `${JSON.stringify({ ...facts, checks })}\n` : shown(status, checks),
    );
    finish(checks.some(({ result }) => result === "failed") ? exitCode.failed : exitCode.ok);
  });
}

/** What the status says beside its findings. */
function ownChecks(status: GetStatusResponse): readonly Check[] {
  const { fenced, busConnected, pendingObjects } = status;
  return [
    judged("lead", !fenced, {
      good: `this issuer leads (term ${status.term})`,
      bad: "another issuer has taken the lead; this one signs nothing any more",
      cure: "stop this issuer, or start it again if it is the one to keep",
    }),
    judged("bus", busConnected, {
      good: "NATS is connected",
      bad: "NATS is not connected; nodes serve what they have",
      cure: "look whether NATS runs and the servers and pins in the issuer's configuration fit",
    }),
    judged("state", pendingObjects === 0, {
      good: "all that is recorded is where nodes read it",
      bad: `${pendingObjects} objects are recorded here but not yet where nodes read them`,
      cure: "nothing, if NATS was away just now: the issuer writes them again; else see its log",
    }),
  ];
}

function judged(
  check: string,
  isGood: boolean,
  say: { readonly good: string; readonly bad: string; readonly cure: string },
): Check {
  return isGood
    ? { result: "ok", check, detail: say.good, cure: "" }
    : { result: "failed", check, detail: say.bad, cure: say.cure };
}

function checkOf({ check, result, detail, cure }: Finding): Check {
  const words = { [Finding_Result.OK]: "ok", [Finding_Result.FAILED]: "failed" } as const;
  const known = result === Finding_Result.OK || result === Finding_Result.FAILED;
  return { result: known ? words[result] : "unknown", check, detail, cure };
}

function shown(status: GetStatusResponse, checks: readonly Check[]): string {
  const about = facts([
    ["trust domain", status.trustDomain],
    ["issuer", status.issuer],
    ["enrolment", status.enrolmentUrl],
    ["nodes", String(status.nodes)],
    ["entries", String(status.entries)],
  ]);
  const width = Math.max(...checks.map(({ check }) => check.length));
  const lines = checks.map(({ result, check, detail, cure }) => {
    const line = `${result.padEnd(7)}  ${check.padEnd(width)}  ${detail}`.trimEnd();
    return cure === "" || result === "ok" ? `${line}\n` : `${line}\n         try: ${cure}\n`;
  });
  return `${about}\n${lines.join("")}`;
}
