import { beforeEach, expect, test } from "vitest";
import { formatBundle } from "../../src/core/bundle/document.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import type { WorkloadView } from "../../src/core/svid/workload-view.ts";
import { NodeService } from "../../src/daemon/node-service.ts";
import type { NodeListener } from "../../src/events/bus.ts";
import { noCache } from "../../src/identity/adapters/files.ts";
import { NodeIdentity } from "../../src/identity/node-identity.ts";
import { trustDomain } from "../core/envelope/support/keys.ts";
import { Asking } from "../identity/support/answering.ts";
import { CountedMetrics } from "../identity/support/followed.ts";
import { identityOptions, newPair, TestIdentityStore } from "../identity/support/identity-world.ts";
import {
  bundle,
  epoch,
  index,
  manifest,
  newTrust,
  revocations,
  type Signed,
  v,
} from "../identity/support/signed-state.ts";
import { hour, makeAuthority, type WorldAuthority } from "../support/ca-world.ts";
import { type CrlBend, makeCrl } from "../support/crl-world.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const [one, two] = [makeAuthority(), makeAuthority()];

/** A node's service, with a bus on which the test says what comes. */
class Node extends Asking {
  readonly views: WorkloadView[] = [];
  readonly #objects = new Map<string, Uint8Array>();
  #listener: NodeListener | undefined;
  #service: NodeService | undefined;

  get service(): NodeService {
    if (this.#service === undefined) throw new RangeError("not started");
    return this.#service;
  }

  async start(): Promise<void> {
    const store = await TestIdentityStore.enrolled();
    const options = identityOptions({ client: this.client, clock: this.clock, store });
    const identity = await NodeIdentity.resume(options);
    if (identity === undefined) throw new RangeError("not enrolled");
    this.#service = new NodeService({
      trust: newTrust(),
      identity,
      client: this.client,
      staleCrls: "strip",
      bus: {
        read: async (key) => await Promise.resolve(this.#objects.get(key)),
        subscribe: async (listener) => {
          this.#listener = listener;
          listener.onConnected();
          return await Promise.resolve({ close: () => Promise.resolve() });
        },
        request: () => Promise.reject(new RangeError("no issuer")),
      },
      viewStore: { load: () => Promise.resolve([]), save: () => Promise.resolve() },
      consumerStore: { load: () => Promise.resolve(undefined), save: () => Promise.resolve() },
      cache: noCache,
      processes: { startOf: () => undefined },
      keys: { p256: () => Promise.resolve(newPair()) },
      clock: this.clock,
      random: new SeededRandom(3),
      log: this.log,
      metrics: new CountedMetrics(),
    });
    for (const make of [epoch, index, manifest]) await this.publish(await make(v(1, 1)));
    await this.#service.resume();
    await this.#service.start();
    const watch = this.#service.watch([parseSelector("unix:uid:1")], (seen) =>
      this.views.push(seen),
    );
    this.views.push(watch.current());
    await this.clock.advance(0);
  }

  /** The broker has it, and says so. */
  async publish({ key, bytes }: Signed): Promise<void> {
    this.#objects.set(key, bytes);
    this.#listener?.onObject(key, bytes);
    await this.clock.advance(0);
  }

  /** What a caller is shown now. */
  get shown(): readonly Buffer[] {
    const crls = this.views.at(-1)?.crls.get(trustDomain)?.crls ?? [];
    return crls.map((der) => Buffer.from(der));
  }
}

let node: Node;
beforeEach(async () => {
  node = new Node();
  await node.start();
});

const crl = (by: WorldAuthority, bend: CrlBend = {}): Buffer => Buffer.from(makeCrl(by, bend));
const crlsOf = async (seq: number, crls: readonly Uint8Array[]): Promise<Signed> =>
  await revocations(v(1, seq), { crls: crls.map((der) => Buffer.from(der).toString("base64")) });
const bundleOf = async (
  seq: number,
  authorities: readonly WorldAuthority[],
  withRevocations: number,
): Promise<Signed> =>
  await bundle(v(1, seq), {
    revocations: v(1, withRevocations),
    activeAuthority: one.certificate.subjectKeyId ?? "",
    document: formatBundle({
      trustDomain,
      sequence: BigInt(seq),
      refreshHintSeconds: 300,
      x509Authorities: authorities.map(({ der }) => der),
      jwtAuthorities: [],
    }),
  });

test("a signed revocations object reaches callers at once; a newer one replaces it; an empty one takes it off", async () => {
  const [first, second] = [crl(one), crl(one, { number: 2n, revoked: [{ serial: "0a" }] })];
  await node.publish(await crlsOf(2, []));
  await node.publish(await bundleOf(2, [one], 2));
  expect(node.shown).toEqual([]);
  await node.publish(await crlsOf(3, [first]));
  expect(node.shown).toEqual([first]);
  await node.publish(await crlsOf(4, [second]));
  expect(node.shown).toEqual([second]);
  await node.publish(await crlsOf(5, []));
  expect([node.shown, node.service.status().crlFault]).toEqual([[], undefined]);
});

test("TM-B-03 a new authority's bundle waits for the revocations that it names: callers never see it without its CRL", async () => {
  await node.publish(await crlsOf(2, [crl(one)]));
  await node.publish(await bundleOf(2, [one], 2));
  await node.publish(await bundleOf(3, [one, two], 3));
  await node.publish(await crlsOf(3, [crl(one), crl(two)]));
  expect(node.shown.length).toBe(2);
  for (const { bundles, crls } of node.views) {
    const authorities = bundles.get(trustDomain)?.x509Authorities ?? [];
    const set = crls.get(trustDomain)?.crls ?? [];
    expect([0, authorities.length]).toContain(set.length);
  }
  const covered = node.views.findIndex(({ crls }) => crls.size > 0);
  expect(node.views.slice(covered).every(({ crls }) => crls.size > 0)).toBe(true);
  expect(node.log.alarms).not.toContain("crls-stripped");
});

test("EF-26 a signed object may hold what no authority signed: refused, told in the log and on the health page", async () => {
  await node.publish(await crlsOf(2, [crl(one, { key: two.key })]));
  await node.publish(await bundleOf(2, [one], 2));
  expect(node.shown).toEqual([]);
  expect(node.log.alarms).toContain("bad-crl");
  await node.publish(await crlsOf(3, [crl(one), Buffer.from("no CRL")]));
  expect(node.shown.length).toBe(1);
  await node.publish(await bundleOf(4, [one, two], 3));
  expect(node.shown).toEqual([]);
  expect(node.service.status().crlFault).toContain(two.certificate.subjectKeyId);
});

test("EF-21 callers are told when a CRL ends, though no state comes", async () => {
  await node.publish(await crlsOf(2, [crl(one, { nextUpdate: node.clock.now() + hour })]));
  await node.publish(await bundleOf(2, [one], 2));
  expect(node.shown.length).toBe(1);
  await node.clock.advance(hour);
  expect(node.shown).toEqual([]);
  expect(node.log.alarms).toContain("crls-stripped");
});
