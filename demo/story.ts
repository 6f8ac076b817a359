import { setTimeout as sleep } from "node:timers/promises";
import { call } from "./calls.ts";
import type { Envoy } from "./envoy.ts";
import { eventually } from "./eventually.ts";
import type { Fleet } from "./fleet.ts";
import { Load, type LoadFigures } from "./load.ts";
import { acknowledgedAt, readLog } from "./logs.ts";
import { type Figure, print } from "./report.ts";
import { buildStage, giveIdentity, type Stage } from "./stage.ts";
import { forgeSvid, knock, servingAuthority } from "./strangers.ts";

/** What is claimed, and how it is shown: `show` resolves with what was seen and throws when the claim does not hold. */
export interface Claim {
  readonly title: string;
  show(): Promise<string>;
}

/** Requests per second of the steady load, and the least that a claim may be shown with. */
const offeredPerSecond = 250;
const leastPerSecond = 200;
const outageMs = 15_000;

/** The demo's claims, in the order in which they are shown, on one fleet. */
export class Story {
  readonly figures: Figure[] = [];
  readonly #fleet: Fleet;
  readonly #note: (text: string) => void;
  #stage: Stage | undefined;
  #load: Load | undefined;

  constructor(fleet: Fleet, note: (text: string) => void) {
    this.#fleet = fleet;
    this.#note = note;
  }

  claims(): readonly Claim[] {
    return [
      { title: "up", show: () => this.#up() },
      { title: "mutual TLS", show: () => this.#mutualTls() },
      { title: "strangers refused", show: () => this.#strangers() },
      { title: "new entry", show: () => this.#newEntry() },
      { title: "CA rotation", show: () => this.#rotation() },
      { title: "outage", show: () => this.#outage() },
    ];
  }

  /** Of the stage, for those who want to go on by hand. */
  get stage(): Stage {
    if (this.#stage === undefined) throw new Error("the fleet is not up yet");
    return this.#stage;
  }

  /** Ends the load; what it counted is the last of the figures. */
  async end(): Promise<void> {
    if (this.#load === undefined) return;
    await this.#load.stop();
    const all = this.#load.since(0);
    this.#add({ key: "requests", label: "requests in all", value: all.requests, unit: "" });
    this.#add({ key: "failures", label: "failed", value: all.failures.length, unit: "" });
    this.#add({ key: "p50Ms", label: "latency, median", value: all.p50Ms, unit: "ms" });
    this.#add({ key: "p99Ms", label: "latency, 99 of 100", value: all.p99Ms, unit: "ms" });
  }

  async #up(): Promise<string> {
    const started = Date.now();
    this.#stage = await buildStage(this.#fleet);
    const seconds = (Date.now() - started) / 1000;
    this.#add({ key: "startSeconds", label: "all processes up", value: seconds, unit: "s" });
    return `NATS, issuer, 2 nodes, 2 Envoys and a service in ${print(seconds, "s")}; the Envoys wait for an identity`;
  }

  async #mutualTls(): Promise<string> {
    const { fleet, web, api, nodeA, nodeB } = this.stage;
    await giveIdentity(fleet, api, [nodeB]);
    await giveIdentity(fleet, web, [nodeA]);
    const { status, caller, body } = await call(web.port);
    require(status === 200, `the call was answered with ${status}: ${body}`);
    require(caller === web.spiffeId, `the service saw "${caller}" instead of ${web.spiffeId}`);
    return `web -> Envoy => Envoy -> api; the service was told: called by ${caller}`;
  }

  async #strangers(): Promise<string> {
    const { web, api } = this.stage;
    const nobody = await knock(api.port);
    require(!nobody.answered, "a caller without a certificate was answered");
    const forged = await knock(api.port, await forgeSvid(web.spiffeId));
    require(!forged.answered, "a caller whose certificate is of another CA was answered");
    const refusals = await api.stat(/ssl\.fail_verify_(?:no_cert|error)$/);
    require(refusals === 2, `Envoy counts ${refusals} refusals instead of 2`);
    return `no identity: ${nobody.reason}; ${web.spiffeId} of another CA: ${forged.reason}`;
  }

  async #newEntry(): Promise<string> {
    const { fleet, nodeA, api } = this.stage;
    const batch = await fleet.addEnvoy({
      name: "batch",
      node: nodeA,
      side: "client",
      upstream: api.port,
    });
    await batch.start();
    require(!(await batch.isLive()), "Envoy serves before it has an identity");
    const ms = await giveIdentity(fleet, batch, [nodeA]);
    const { caller } = await call(batch.port);
    require(caller === batch.spiffeId, `the service saw "${caller}" instead of ${batch.spiffeId}`);
    this.#add({ key: "entryToAckMs", label: "entry create -> Envoy's ACK", value: ms, unit: "ms" });
    await batch.program.stop();
    return `${batch.spiffeId}: ${print(ms, "ms")} from \`entry create\` to the ACK of its waiting Envoy`;
  }

  async #rotation(): Promise<string> {
    const { fleet, web, api } = this.stage;
    const load = Load.start({ port: web.port, perSecond: offeredPerSecond });
    this.#load = load;
    await eventually("the load is under way", () => load.count() >= offeredPerSecond);
    const before = await servingAuthority(api.port);
    const handshakes = await api.stat(/^listener\..*\.ssl\.handshake$/);
    const mark = load.mark();
    let activatedMs = 0;
    await fleet.admin((admin) =>
      admin.rotate(({ step }) => {
        if (step === "reissue") activatedMs = Date.now() - mark;
      }),
    );
    const doneMs = Date.now() - mark;
    const rootMs = Math.max(
      ...(await Promise.all([web, api].map((envoy) => rootHeldAfter(envoy, mark)))),
    );
    const active = (await fleet.admin((admin) => admin.activeAuthority())).subjectKeyId;
    require(active !== before, "the active authority is still the same");
    const after = await servingAuthority(api.port);
    require(after === active, "api's Envoy still shows a certificate of the old CA");
    await eventually(
      "the service's Envoy was shown web's new certificate",
      () => load.since(mark).certificates.size > 1,
    );
    // On for a while on the new certificates, with connections that are made on them.
    const counted = load.count();
    await eventually("traffic goes on", () => load.count() >= counted + 2 * offeredPerSecond);
    const made = (await api.stat(/^listener\..*\.ssl\.handshake$/)) - handshakes;
    require(made > 0, "no connection was made anew");
    const seen = load.since(mark);
    requireSteady(seen, web.spiffeId);
    this.#add({
      key: "rotationRootMs",
      label: "ca rotate -> both Envoys hold the new root",
      value: rootMs,
      unit: "ms",
    });
    this.#add({
      key: "rotationActivatedMs",
      label: "ca rotate -> the new CA signs",
      value: activatedMs,
      unit: "ms",
    });
    this.#add({
      key: "rotationMs",
      label: "ca rotate -> nothing left on the old CA",
      value: doneMs,
      unit: "ms",
    });
    this.#add({
      key: "rotationPerSecond",
      label: "load meanwhile",
      value: seen.perSecond,
      unit: "/s",
    });
    this.#add({
      key: "rotationHandshakes",
      label: "TLS handshakes meanwhile",
      value: made,
      unit: "",
    });
    return `done in ${print(doneMs / 1000, "s")} under ${print(seen.perSecond, "/s")}: ${print(seen.requests, "")} requests, ${made} new connections, 0 failed`;
  }

  async #outage(): Promise<string> {
    const { fleet, web, nodeA, api } = this.stage;
    const load = this.#load;
    if (load === undefined) throw new Error("there is no load");
    const mark = load.mark();
    await Promise.all([fleet.issuer.stop(), fleet.nats.stop()]);
    this.#note(`NATS and the issuer are down for ${outageMs / 1000} s; node a restarts meanwhile`);
    const until = Date.now() + outageMs;
    await sleep(outageMs / 5);
    const restarted = Date.now();
    await nodeA.program.stop();
    await fleet.startNode(nodeA);
    await eventually("node a serves web's Envoy from what it has cached", () =>
      acknowledgedAt(nodeA.log, { name: web.spiffeId, since: restarted }),
    );
    this.#add({
      key: "nodeRestartMs",
      label: "node a restarted -> its Envoy served again",
      value: Date.now() - restarted,
      unit: "ms",
    });
    const nightly = await fleet.addEnvoy({
      name: "nightly",
      node: nodeA,
      side: "client",
      upstream: api.port,
    });
    await nightly.start();
    await sleep(Math.max(0, until - Date.now()));
    await this.#recover(nightly);
    const seen = load.since(mark);
    requireSteady(seen, web.spiffeId);
    this.#add({
      key: "outageRequests",
      label: "requests during the outage",
      value: seen.requests,
      unit: "",
    });
    return `${outageMs / 1000} s without NATS and issuer, node a restarted: ${print(seen.requests, "")} requests, 0 failed; then all in step again`;
  }

  /** NATS and the issuer come back: both nodes follow, and an identity made now reaches the Envoy that was started in between. */
  async #recover(nightly: Envoy): Promise<void> {
    const { fleet, nodeA, nodeB } = this.stage;
    const back = Date.now();
    await fleet.startNats();
    await fleet.startIssuer();
    const up = Date.now();
    await giveIdentity(fleet, nightly, [nodeA, nodeB]);
    await eventually("node b has the new entry's SVID", async () =>
      (await readLog(nodeB.log)).some(
        ({ time, ids }) => time >= back && ids?.includes(nightly.spiffeId) === true,
      ),
    );
    for (const node of [nodeA, nodeB])
      await eventually(`${node.name} is well`, () => fleet.isWell(node));
    this.#add({
      key: "recoveryMs",
      label: "issuer back -> a new entry at its Envoy",
      value: Date.now() - up,
      unit: "ms",
    });
    await nightly.program.stop();
  }

  #add(figure: Figure): void {
    this.figures.push(figure);
  }
}

/** Milliseconds from `since` until an Envoy had acknowledged a new bundle. */
async function rootHeldAfter(envoy: Envoy, since: number): Promise<number> {
  const at = await acknowledgedAt(envoy.nodeLog, { name: "ROOTCA", since });
  require(at !== undefined, `Envoy ${envoy.name} was not given the new root`);
  return at - since;
}

function requireSteady(seen: LoadFigures, caller: string): void {
  const [first] = seen.failures;
  require(first ===
    undefined, `${seen.failures.length} of ${seen.requests} requests failed, the first with: ${first?.reason ?? ""}`);
  require(seen.perSecond >=
    leastPerSecond, `only ${print(seen.perSecond, "/s")} came back, fewer than ${leastPerSecond}/s`);
  require([...seen.callers].join() ===
    caller, `the service saw ${[...seen.callers].join(", ")} instead of ${caller}`);
}

function require(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
