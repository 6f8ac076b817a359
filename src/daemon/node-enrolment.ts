import { type JoinString, parseJoinString } from "../core/envelope/join-string.ts";
import type { RefusalCode } from "../core/envelope/payloads.ts";
import { ControlTrust } from "../core/envelope/trust.ts";
import { nodeKeyMaker } from "../core/x509/key-pair.ts";
import { IdentityFile } from "../identity/adapters/files.ts";
import { type EnrolmentProof, joinTokenProof } from "../identity/enrolment-proof.ts";
import { IdentityError } from "../identity/error.ts";
import { IssuerClient, refusalCode } from "../identity/issuer-client.ts";
import { NodeIdentity, type NodeIdentityOptions } from "../identity/node-identity.ts";
import { readIfThere } from "../kit/adapters/durable-file.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import { pause, systemClock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import { systemRandom } from "../kit/random.ts";
import { postHttps } from "../rpc/http-client.ts";
import { certificateProofOf } from "./attestors-config.ts";
import type { NodeConfig } from "./config.ts";
import type { RunningNode } from "./running-node.ts";

/** A node that is somebody. */
export interface EnrolledNode {
  readonly identity: NodeIdentity;
  /** Envelopes that enrolment brought; empty when the identity was on disk. */
  readonly state: readonly Uint8Array[];
  readonly trust: ControlTrust;
  readonly client: IssuerClient;
}

/** The identity on disk, or a new one by a join string. Waits for an issuer as long as it takes; what the issuer refuses ends the daemon. */
export async function identityOf(
  running: Pick<RunningNode, "config" | "log" | "stop">,
  joinString: string | undefined,
): Promise<EnrolledNode> {
  const { config, log, stop } = running;
  const store = new IdentityFile(config.dir);
  const kept = await store.load();
  const proof = kept === undefined ? await proofOf(config, joinString) : undefined;
  const trust = new ControlTrust({
    trustDomain: config.trustDomain,
    pin: kept?.pin ?? proof?.pin ?? "",
  });
  const client = new IssuerClient({ trust, clock: systemClock, random: systemRandom, log });
  const options: NodeIdentityOptions = {
    trustDomain: config.trustDomain,
    client,
    store,
    post: postTo(config),
    keys: nodeKeyMaker,
    clock: systemClock,
    random: systemRandom,
    log,
  };
  const identity = await NodeIdentity.resume(options);
  if (identity !== undefined) return { identity, state: [], trust, client };
  if (proof === undefined) throw notEnrolled(config);
  const backoff = exponentialBackoff({ baseMs: 200, maxMs: 5000, random: systemRandom });
  for (;;) {
    try {
      const enrolled = await NodeIdentity.enrol(options, await proofOf(config, joinString));
      log.info({ node: enrolled.identity.id }, "node is enrolled");
      return { ...enrolled, trust, client };
    } catch (thrown) {
      if (isFinal(refusalCode(thrown)) || stop.signal.aborted) throw thrown;
      log.warn(
        { reason: reasonOf(thrown), issuers: config.issuerUrls },
        "could not enrol yet; trying again",
      );
      await pause(systemClock, backoff.next(), stop.signal);
    }
  }
}

const finalRefusals: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  "TOKEN_UNKNOWN",
  "TOKEN_USED",
  "TOKEN_EXPIRED",
  "NODE_NAME",
  "NODE_BANNED",
  "KEY_RETIRED",
  "ATTESTOR_OFF",
  "CERTIFICATE_INVALID",
]);

/** Is it of no use to ask again with this join string? */
function isFinal(code: RefusalCode | undefined): boolean {
  return code !== undefined && finalRefusals.has(code);
}

/** What this machine is configured to prove itself with; a join string that is given on the command line goes first. */
async function proofOf(
  config: NodeConfig,
  joinString: string | undefined,
): Promise<EnrolmentProof> {
  return config.attestor === undefined || joinString !== undefined
    ? joinTokenProof(await joinOf(config, joinString), config.name)
    : await certificateProofOf(config.attestor);
}

async function joinOf(config: NodeConfig, joinString: string | undefined): Promise<JoinString> {
  if (joinString !== undefined) return parseJoinString(joinString);
  if (config.joinFile === undefined) throw notEnrolled(config);
  const written = await readIfThere(config.joinFile);
  if (written === undefined) throw notEnrolled(config);
  return parseJoinString(written.toString("utf8"));
}

function notEnrolled(config: NodeConfig): IdentityError {
  return new IdentityError(
    "NOT_ENROLLED",
    `this node has no identity in ${config.dir}, and no join string. Make one on the issuer with \`herald node token --name ${config.name}\` and give it with --join or joinFile`,
  );
}

/** Tries the issuers in turn, each as it is configured; any reply is as good as another, since all are verified by the pin. */
function postTo(config: NodeConfig): NodeIdentityOptions["post"] {
  return async (path, bytes) => {
    let last: unknown;
    for (const url of config.issuerUrls) {
      try {
        const { status, body } = await postHttps({
          url: `${url}${path}`,
          body: bytes,
          timeoutMs: 5000,
          clock: systemClock,
        });
        if (status === 200) return body;
        last = new IdentityError(
          "NO_ANSWER",
          `${url} answered ${status}: ${body.toString("utf8").slice(0, 200).trim()}`,
        );
      } catch (thrown) {
        last = thrown;
      }
    }
    throw last;
  };
}
