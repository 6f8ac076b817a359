import { parseSelector, type Selector } from "../core/spiffe/selector.ts";
import type { PeerProcess, SelectorSource } from "./attestation.ts";
import { AttestError } from "./error.ts";

/** What a Unix system calls its users and groups. */
export interface AccountNames {
  /** Undefined for a number without a name. */
  userName(uid: number): Promise<string | undefined>;
  groupName(gid: number): Promise<string | undefined>;
}

/** The credentials that a process has now. */
export interface ProcessCredentials {
  /** Rejects when the process cannot be read. */
  credentialsOf(pid: number): Promise<{
    /** Effective. */
    readonly uid: number;
    /** Effective. */
    readonly gid: number;
    readonly supplementaryGids: readonly number[];
  }>;
}

/**
 * `unix:uid`, `unix:gid` from the credentials of the connect, as SPIRE's unix attestor writes them. With `names` also
 * `unix:user`, `unix:group`; with `processes` also `unix:supplementary_gid` (with both, `unix:supplementary_group`).
 */
export function unixSelectors(options?: {
  readonly names?: AccountNames;
  readonly processes?: ProcessCredentials;
}): SelectorSource {
  return {
    async selectorsOf(peer) {
      const gids = await supplementaryGids(peer, options?.processes);
      const facts = [
        `uid:${peer.uid}`,
        `gid:${peer.gid}`,
        ...gids.map((gid) => `supplementary_gid:${gid}`),
        ...(options?.names === undefined ? [] : await namedFacts(peer, gids, options.names)),
      ];
      return facts.map((fact): Selector => parseSelector(`unix:${fact}`));
    },
  };
}

/**
 * The kernel keeps only user and group of the connect, so these are of now. A caller who connects and then execs
 * `sudo` or `newgrp` shows somebody else's groups: whose user or group is not the connect's any more gets nothing
 * (TM-W-02).
 */
async function supplementaryGids(
  peer: PeerProcess,
  processes: ProcessCredentials | undefined,
): Promise<readonly number[]> {
  if (processes === undefined) return [];
  const now = await processes.credentialsOf(peer.pid);
  if (now.uid !== peer.uid || now.gid !== peer.gid) {
    throw new AttestError(
      "PEER_CHANGED",
      `process ${peer.pid} connected as ${peer.uid}:${peer.gid} and is ${now.uid}:${now.gid} now; connect after changing user`,
    );
  }
  return now.supplementaryGids;
}

async function namedFacts(
  peer: PeerProcess,
  gids: readonly number[],
  names: AccountNames,
): Promise<readonly string[]> {
  const [user, group, ...supplementary] = await Promise.all([
    names.userName(peer.uid),
    names.groupName(peer.gid),
    ...gids.map(async (gid) => await names.groupName(gid)),
  ]);
  return [
    ...(user === undefined ? [] : [`user:${user}`]),
    ...(group === undefined ? [] : [`group:${group}`]),
    ...supplementary
      .filter((name) => name !== undefined)
      .map((name) => `supplementary_group:${name}`),
  ];
}
