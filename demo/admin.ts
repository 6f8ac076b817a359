import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { reasonOf } from "../src/kit/errors.ts";
import { dialUnix } from "../src/rpc/grpc-client.ts";
import {
  type Authority,
  AuthorityServiceClient,
  type ListAuthoritiesResponse,
  type RotateAuthorityResponse,
  type RotationProgress,
} from "../src/wire/herald/v1/authorities.ts";
import {
  type Entry,
  EntryServiceClient,
  EntrySpec,
  ListEntriesRequest,
  type ListEntriesResponse,
} from "../src/wire/herald/v1/entries.ts";
import { NodeServiceClient } from "../src/wire/herald/v1/nodes.ts";

/** Who is to get an identity, where. */
export interface EntryWish {
  readonly spiffeId: string;
  /** SPIFFE IDs of the nodes on which it holds. */
  readonly nodes: readonly string[];
  readonly selectors?: readonly string[];
}

/** The admin API of an issuer, as the CLI calls it. */
export class Admin {
  readonly #entries: EntryServiceClient;
  readonly #nodes: NodeServiceClient;
  readonly #authorities: AuthorityServiceClient;

  private constructor(dial: Awaited<ReturnType<typeof dialUnix>>) {
    const { target, credentials, options } = dial;
    this.#entries = new EntryServiceClient(target, credentials, options);
    const shared = { ...options, channelOverride: this.#entries.getChannel() };
    this.#nodes = new NodeServiceClient(target, credentials, shared);
    this.#authorities = new AuthorityServiceClient(target, credentials, shared);
  }

  /** Calls `run` with a connection that is already up, and closes it afterwards. @throws RpcError when nobody listens */
  static async with<T>(address: string, run: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = new Admin(await dialUnix(address));
    try {
      await answer<void>((done) =>
        admin.#entries.waitForReady(new Date(Date.now() + 5000), (error) =>
          done((error ?? null) as ServiceError | null),
        ),
      );
      return await run(admin);
    } finally {
      admin.#entries.close();
    }
  }

  async joinString(nodeName: string): Promise<string> {
    const request = { nodeName, labels: new Map<string, string>(), replaces: false };
    const made = await answer<{ joinString: string }>((done) =>
      this.#nodes.createJoinToken(request, done),
    );
    return made.joinString;
  }

  /** By default every process of this user on that node may have it. */
  async createEntry({ spiffeId, nodes, selectors }: EntryWish): Promise<Entry> {
    const entryWanted = {
      ...EntrySpec.decode(new Uint8Array()),
      spiffeId,
      nodes: { ids: [...nodes], labels: new Map<string, string>() },
      selectors: [...(selectors ?? [`unix:uid:${process.getuid?.() ?? 0}`])],
    };
    const request = { entry: entryWanted, allow: [] };
    const { entry } = await answer<{ entry?: Entry | undefined }>((done) =>
      this.#entries.createEntry(request, done),
    );
    if (entry === undefined)
      throw new Error(`the issuer did not say what entry it made for ${spiffeId}`);
    return entry;
  }

  async entries(): Promise<readonly Entry[]> {
    const { entries } = await answer<ListEntriesResponse>((done) =>
      this.#entries.listEntries(ListEntriesRequest.decode(new Uint8Array()), done),
    );
    return entries;
  }

  async deleteEntry(id: string): Promise<void> {
    await answer((done) => this.#entries.deleteEntry({ id, revision: "" }, done));
  }

  /** All of them, and the rotation under way. */
  async authorities(): Promise<ListAuthoritiesResponse> {
    return await answer((done) => this.#authorities.listAuthorities({}, done));
  }

  async activeAuthority(): Promise<Authority> {
    const { authorities } = await this.authorities();
    const active = authorities.find(({ status }) => status === "active");
    if (active === undefined) throw new Error("the issuer has no active authority");
    return active;
  }

  /**
   * Rotates the CA, telling of each step as it is reached, and resolves when no live SVID is left on the old one.
   * @throws {Error} with whom it waits for, when the stream ends before that or after a minute
   */
  async rotate(onStep: (progress: RotationProgress) => void = () => undefined): Promise<void> {
    const deadline = new Date(Date.now() + 60_000);
    const stream = this.#authorities.rotateAuthority({}, new Metadata(), { deadline });
    let last: RotationProgress | undefined;
    try {
      for await (const { progress } of stream as AsyncIterable<RotateAuthorityResponse>) {
        if (progress !== undefined && progress.step !== last?.step) onStep(progress);
        last = progress ?? last;
      }
    } catch (cause) {
      throw new Error(`the rotation was cut off ${standOf(last)}: ${reasonOf(cause)}`, { cause });
    }
    if (last?.step !== "done") throw new Error(`the rotation ended ${standOf(last)}`);
  }
}

function standOf(progress: RotationProgress | undefined): string {
  const waiting = (progress?.waiting ?? []).map(
    ({ node, consumer, reason }) => `${node} ${consumer} ${reason}`,
  );
  return `at step ${progress?.step ?? "none"}, waiting for ${waiting.join("; ") || "nobody"}`;
}

async function answer<R>(
  call: (done: (error: ServiceError | null, response: R) => void) => unknown,
): Promise<R> {
  return await new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}
