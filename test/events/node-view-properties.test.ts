import fc from "fast-check";
import { expect, test } from "vitest";
import { NodeView } from "../../src/events/node-view.ts";
import { now } from "../core/envelope/support/keys.ts";
import { node } from "../core/envelope/support/samples.ts";
import {
  bundle,
  epoch,
  head,
  index,
  keys,
  manifest,
  newTrust,
  revocations,
  type Signed,
  v,
} from "../identity/support/signed-state.ts";

/** What the issuer does: changes of single objects, heads, a new leader, a new epoch by the root. */
type Act = "revoke" | "bundle" | "entries" | "node" | "head" | "leader" | "epoch";

type Delivery = { readonly head: boolean; readonly bytes: Uint8Array };

/** All that an honest issuer ever sent, and the newest of it. */
async function logOf(
  acts: readonly Act[],
): Promise<{ log: Delivery[]; newest: Map<string, Signed> }> {
  const log: Delivery[] = [];
  const newest = new Map<string, Signed>();
  const at = { epoch: 1, term: 1, seq: 0, n: 0 };
  const next = () => v(at.term, ++at.seq, at.epoch);
  const write = (object: Signed): void => {
    newest.set(object.key, object);
    log.push({ head: false, bytes: object.bytes });
  };
  const writeBundle = async () => {
    const needed = newest.get(keys.revocations)?.ref.version ?? v(0, 0, 0);
    write(await bundle(next(), { revocations: needed }));
  };
  const announce = async () => {
    const named = [keys.control, keys.revocations, keys.bundle, keys.index];
    const of = named.flatMap((key) => newest.get(key) ?? []);
    at.n += 1;
    log.push({ head: true, bytes: await head(at.term, at.n, { of, epoch: BigInt(at.epoch) }) });
  };
  // A leader signs the objects of the head anew, and every manifest, before its first head.
  const lead = async () => {
    at.seq += 4096;
    write(await revocations(next()));
    await writeBundle();
    write(await index(next()));
    write(await manifest(next()));
    await announce();
  };
  const perform: Readonly<Record<Act, () => Promise<void>>> = {
    revoke: async () => {
      write(await revocations(next()));
      await writeBundle();
    },
    bundle: writeBundle,
    entries: async () => write(await index(next())),
    node: async () => write(await manifest(next())),
    head: announce,
    leader: async () => {
      Object.assign(at, { term: at.term + 1, n: 0 });
      await lead();
    },
    epoch: async () => {
      Object.assign(at, { epoch: at.epoch + 1, term: at.term + 1, n: 0 });
      write(await epoch(v(0, ++at.seq, at.epoch)));
      await lead();
    },
  };
  write(await epoch(v(0, 1)));
  await lead();
  for (const act of acts) await perform[act]();
  await announce();
  return { log, newest };
}

/** Mostly what hangs together: bundles and the revocations they go with. */
const acts = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<Act>("revoke") },
    { weight: 2, arbitrary: fc.constant<Act>("bundle") },
    { weight: 3, arbitrary: fc.constantFrom<Act>("entries", "node", "head") },
    { weight: 1, arbitrary: fc.constantFrom<Act>("leader", "epoch") },
  ),
  { maxLength: 8 },
);

/** Any order, each at least once, some again. */
const disorder = fc.infiniteStream(fc.nat());

function disordered(log: readonly Delivery[], chance: Iterator<number>): readonly Delivery[] {
  const draw = (): number => Number(chance.next().value);
  const again = log.filter(() => draw() % 3 === 0);
  return [...log, ...again]
    .map((delivery) => ({ delivery, at: draw() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ delivery }) => delivery);
}

function deliver(view: NodeView, { head: isHead, bytes }: Delivery): readonly string[] {
  const outcomes = isHead ? view.offerHead(bytes, now) : view.offer(bytes, now);
  return outcomes.flatMap((outcome) => (outcome.kind === "alarm" ? [outcome.code] : []));
}

const stateOf = (view: NodeView) => ({
  versions: view.versions(),
  highest: view.highest,
  envelopes: view
    .envelopes()
    .map((bytes) => Buffer.from(bytes).toString("utf8"))
    .toSorted(),
});

test("TM-B-09 any order and repetition of what the issuer sent leads to the same state", async () => {
  await fc.assert(
    fc.asyncProperty(acts, disorder, async (performed, chance) => {
      const { log, newest } = await logOf(performed);
      const inOrder = new NodeView({ trust: newTrust(), node });
      for (const delivery of log) expect(deliver(inOrder, delivery)).toEqual([]);
      const view = new NodeView({ trust: newTrust(), node });
      const alarms = disordered(log, chance).flatMap((delivery) => deliver(view, delivery));
      expect(stateOf(view)).toEqual(stateOf(inOrder));
      for (const [key, { ref }] of newest) expect(view.versions()[key]).toEqual(ref.version);
      // Late ones are told apart from lies.
      for (const code of alarms) expect(["rollback", "old-term", "other-epoch"]).toContain(code);
    }),
    { numRuns: 200 },
  );
});

test("TM-B-02 TM-B-09 restarts in between change nothing of it, and no version ever sinks", async () => {
  await fc.assert(
    fc.asyncProperty(acts, disorder, async (performed, chance) => {
      const { log, newest } = await logOf(performed);
      let view = new NodeView({ trust: newTrust(), node });
      for (const [at, delivery] of disordered(log, chance).entries()) {
        const before = view.envelopes();
        const versions = view.versions();
        deliver(view, delivery);
        for (const [key, version] of Object.entries(versions))
          expect(atLeast(view, key, version)).toBe(true);
        if (at % 4 !== 0) continue;
        // The disk may hold what was before this delivery: then it was not acted upon either.
        const kept = at % 8 === 0 ? before : view.envelopes();
        view = new NodeView({ trust: newTrust(), node });
        for (const bytes of kept) view.offer(bytes, now);
        for (const bytes of kept) view.offerHead(bytes, now);
      }
      // What a crash took is read again.
      for (const delivery of log) deliver(view, delivery);
      for (const [key, { ref }] of newest) expect(view.versions()[key]).toEqual(ref.version);
    }),
    { numRuns: 60 },
  );
});

function atLeast(
  view: NodeView,
  key: string,
  { epoch: e, term, seq }: ReturnType<typeof v>,
): boolean {
  const held = view.versions()[key];
  if (held === undefined) return false;
  if (held.epoch !== e) return held.epoch > e;
  return held.term === term ? held.seq >= seq : held.term > term;
}
