import type { Command } from "commander";
import { seconds } from "../argument-parsers.ts";
import { addGroup, addVerb, type Shop } from "../verb.ts";

interface FetchOptions {
  readonly socket?: string;
  readonly write?: string;
  readonly timeout: number;
  readonly json?: true;
}

export function addFetch(program: Command, { surroundings }: Shop): void {
  const fetch = addGroup(program, {
    name: "fetch",
    description: "fetch this process's own identities from the node daemon",
  });
  const verb = addVerb(fetch, {
    name: "x509",
    description:
      "fetch X.509-SVIDs by the SPIFFE Workload API, as a workload of this user would get them",
    examples: [
      "herald fetch x509",
      "herald fetch x509 --socket unix:///run/herald/herald.sock --write ./identity",
    ],
  })
    .option(
      "--socket <address>",
      "the node daemon's socket, unix:///path (default: SPIFFE_ENDPOINT_SOCKET, else unix:///run/herald/herald.sock)",
    )
    .option(
      "--write <dir>",
      "write svid.N.pem, svid.N.key, bundle.N.pem and federated_bundle.N.M.pem there, for this user's eyes only",
    )
    .option("--timeout <time>", "how long to wait: seconds, or 90s, 10m", seconds, 5);
  verb.action(async () => {
    const { socket, write, timeout, json } = verb.opts<FetchOptions>();
    const { fetchX509 } = await import("../fetch-x509.ts");
    const { identitiesJson, printIdentities } = await import("../identity-text.ts");
    const started = surroundings.clock.now();
    const fetched = await fetchX509({ socket, timeoutMs: timeout * 1000, surroundings });
    const took = surroundings.clock.now() - started;
    const written =
      write === undefined
        ? []
        : await (await import("../identity-files.ts")).writeIdentities(write, fetched);
    surroundings.out(
      json === true
        ? `${JSON.stringify({ ...identitiesJson(fetched), written })}\n`
        : `${printIdentities(fetched, { took, now: surroundings.clock.now() })}${written.map((file) => `wrote ${file}\n`).join("")}`,
    );
  });
}
