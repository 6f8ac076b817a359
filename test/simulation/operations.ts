import type { NodeSelection } from "../../src/core/policy/entry.ts";
import type { Issuer } from "../../src/issuer/issuer.ts";
import { HeraldError } from "../../src/kit/errors.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { issuerMember } from "../support/simulation-issuer.ts";
import { quiet } from "../support/simulation-quiet.ts";
import type { World } from "./world.ts";

/** Something that operators, machines or the broker do. */
interface Operation {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  readonly run: (world: World, random: SeededRandom) => unknown;
}

const secondMs = 1000;
const minuteMs = 60 * secondMs;

const operations: readonly Operation[] = [
  { name: "create", weight: 14, run: create },
  { name: "delete", weight: 5, run: remove },
  { name: "rotate", weight: 6, run: rotate },
  { name: "order about authorities", weight: 6, run: orderAuthorities },
  {
    name: "apply",
    weight: 6,
    run: ordered((world, random, issuer) => world.cuts.apply(issuer, random)),
  },
  { name: "revoke", weight: 5, run: ordered((world, random) => world.cuts.revoke(world, random)) },
  { name: "another node", weight: 5, run: ordered((world) => world.cuts.invite(world)) },
  { name: "ban", weight: 4, run: ordered((world, random) => world.cuts.ban(world, random)) },
  { name: "label", weight: 3, run: ordered(label) },
  {
    name: "wait seconds",
    weight: 14,
    run: (world, random) => world.advance(secondMs * (1 + random.below(20))),
  },
  {
    name: "wait minutes",
    weight: 6,
    run: (world, random) => world.advance(minuteMs * (1 + random.below(20))),
  },
  {
    name: "wait hours",
    weight: 1,
    run: (world, random) => world.advance(60 * minuteMs * (1 + random.below(2))),
  },
  {
    name: "foul weather",
    weight: 10,
    run({ weather }, random) {
      weather.drop = random.fraction() * 0.5;
      weather.duplicate = random.fraction() * 0.3;
      weather.tamper = random.fraction() * 0.1;
      weather.stale = random.fraction() * 0.2;
      weather.slowMs = 1 + random.below(random.oneIn(3) ? 20_000 : 500);
    },
  },
  { name: "fair weather", weight: 6, run: ({ weather }) => weather.calm() },
  {
    name: "partition",
    weight: 6,
    run: (world, random) => world.bus.faults.partition(random.pick(world.members) ?? ""),
  },
  { name: "reconnect", weight: 7, run: (world, random) => world.reconnect(random.below(9000)) },
  {
    name: "restart issuer",
    weight: 5,
    async run(world, random) {
      world.issuer.kill();
      await world.advance(random.below(20_000));
    },
  },
  {
    name: "crash issuer in a write",
    weight: 6,
    run({ issuer, trace }, random) {
      const crash = { append: 1 + random.below(5), kept: random.below(4) };
      issuer.journal.crashAt(crash, () => {
        trace.push("issuer dies in a write");
        issuer.kill();
      });
    },
  },
  {
    name: "restart node",
    weight: 6,
    async run(world, random) {
      const node = random.pick(world.nodes);
      if (node !== undefined) world.killNode(node);
      await world.advance(random.below(20_000));
    },
  },
  {
    name: "power cut",
    weight: 5,
    async run(world, random) {
      world.rewindStore(random.below(14));
      world.issuer.audit.lose(random.below(6));
      await world.reconnect(random.below(5000));
    },
  },
  { name: "rewind", weight: 3, run: (world, random) => world.rewindStore(random.below(14)) },
  {
    name: "roll back",
    weight: 4,
    async run({ bus }, random) {
      const keys = [...(await bus.issuer("observer").loadAll()).keys()];
      bus.faults.rollback(random.pick(keys) ?? "", 1 + random.below(3));
    },
  },
  {
    name: "lose acks",
    weight: 3,
    run: ({ bus }, random) => bus.faults.loseAcks(issuerMember, 1 + random.below(4)),
  },
  {
    name: "audit away",
    weight: 3,
    run({ issuer }) {
      issuer.audit.up = false;
    },
  },
  {
    name: "audit back",
    weight: 5,
    run({ issuer }) {
      issuer.audit.up = true;
    },
  },
  {
    name: "process leaves",
    weight: 5,
    run({ envoys }, random) {
      const envoy = random.pick(envoys.filter((one) => one.connected));
      envoy?.disconnect();
      envoy?.connectLater(20 * minuteMs);
    },
  },
  {
    name: "process ends",
    weight: 3,
    run(world, random) {
      const envoy = random.pick(world.envoys.filter((one) => !one.dead));
      if (envoy === undefined) return;
      envoy.die();
      world.spawn(envoy.node, random.oneIn(3) ? "workload-api" : "sds");
    },
  },
];

const total = operations.reduce((sum, operation) => sum + operation.weight, 0);

/** One step of the story: something happens, a moment passes, and what died is started again now and then. */
export async function step(world: World): Promise<void> {
  const { random, trace } = world;
  world.steps += 1;
  const operation = drawn(random.below(total));
  trace.push(`-- ${world.steps} ${operation.name}`);
  await operation.run(world, random);
  await world.advance(random.below(3 * secondMs));
  if (random.below(3) > 0) await world.ensureIssuer();
  if (random.below(3) > 0) await world.ensureNodes();
  await world.remember();
}

function drawn(at: number): Operation {
  let left = at;
  for (const operation of operations) {
    if (left < operation.weight) return operation;
    left -= operation.weight;
  }
  throw new RangeError("the weights do not add up");
}

/** An order to the issuer, where one runs; whatever becomes of it, the story goes on. */
function ordered(
  run: (world: World, random: SeededRandom, issuer: Issuer) => Promise<void>,
): Operation["run"] {
  return async (world, random) => {
    const { running } = world.issuer;
    if (running === undefined) return;
    const order = run(world, random, running).catch((thrown: unknown) => {
      if (!(thrown instanceof HeraldError)) throw thrown;
      world.trace.push("order refused");
    });
    await settled(order);
  };
}

/** A node changes sides, or comes back. */
async function label(world: World, random: SeededRandom, issuer: Issuer): Promise<void> {
  const node = random.pick(world.nodes)?.identity.node;
  const side = random.pick(world.nodes)?.name ?? "";
  if (node === undefined) return;
  await issuer.nodes.records.label(node, { set: new Map([["side", side]]), remove: [] });
}

async function create({ ledger, issuer, nodes }: World, random: SeededRandom): Promise<void> {
  const uid = 1000 + random.below(2);
  const node = random.pick(nodes);
  const selections: readonly NodeSelection[] = [
    { kind: "all" },
    { kind: "labels", labels: { side: node?.name ?? "" } },
    { kind: "ids", ids: nodes.filter((one) => one === node).map((one) => one.identity.node) },
  ];
  const selection = random.pick(selections);
  if (issuer.running === undefined || selection === undefined) return;
  await settled(ledger.create(issuer.running, selection, uid));
}

async function remove({ ledger, issuer }: World, random: SeededRandom): Promise<void> {
  const spiffeId = random.pick(ledger.known);
  if (issuer.running !== undefined && spiffeId !== undefined)
    await settled(ledger.delete(issuer.running, spiffeId));
}

async function rotate({ issuer, trace }: World): Promise<void> {
  const order = issuer.running?.rotate({ kind: "unix", uid: 0, pid: 1 });
  // Refused while one is under way, or not to be recorded: the story goes on.
  await settled(order?.catch(() => trace.push("no rotation")));
}

/** Any of the single verbs, on any authority; most do not fit, and are refused. */
async function orderAuthorities({ issuer, trace }: World, random: SeededRandom): Promise<void> {
  const { running } = issuer;
  if (running === undefined) return;
  const { ca, rotation, authorities } = running;
  const id = random.pick(authorities.list())?.authority ?? "";
  const by = "the story";
  const orders: readonly (() => Promise<unknown>)[] = [
    () => ca.orders.prepare(by),
    () => ca.orders.activate("", by),
    () => ca.orders.taint(id, by),
    () => ca.orders.revoke(id, by),
    () => ca.orders.prune(by),
    () => rotation.pause(),
    () => rotation.resume(),
    () => rotation.abort(by),
  ];
  const at = random.below(orders.length);
  const order = orders[at]?.();
  await settled(order?.catch(() => trace.push(`order ${at} refused`)));
}

/** Until it ends, or the issuer that was to answer is dead. */
async function settled(order: Promise<unknown> | undefined): Promise<void> {
  await Promise.race([order, quiet()]);
}
