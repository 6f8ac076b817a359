import { expect } from "vitest";
import { groupIndexKey, manifestKey } from "../../../src/core/envelope/object-keys.ts";
import type { GroupIndexState } from "../../../src/core/envelope/payloads.ts";
import { reasonOf } from "../../../src/kit/errors.ts";
import { payloadOf } from "../../support/simulation-audit.ts";
import type { SimulationIssuer } from "../../support/simulation-issuer.ts";
import { quiet } from "../../support/simulation-quiet.ts";
import type { Office } from "./office.ts";

/** Gives an order to an issuer that dies in one of its writes. Undefined when nobody answered any more. */
export async function whileDying<T>(
  host: SimulationIssuer,
  crash: { readonly append: number; readonly kept: number },
  order: () => Promise<T>,
): Promise<{ readonly answer: T } | undefined> {
  host.journal.crashAt(crash, () => host.kill());
  const answered: { answer?: T } = {};
  order().then(
    (answer) => {
      answered.answer = answer;
    },
    (thrown: unknown) => {
      // The dead do not speak, and nothing else may go wrong.
      throw new Error(`answered after death: ${reasonOf(thrown)}`);
    },
  );
  await quiet();
  await quiet();
  await host.restart();
  return answered.answer === undefined ? undefined : { answer: answered.answer };
}

/** Everything in the store is what the journal holds, and what nodes read agrees with what the issuer says. */
export async function storeIsWhole({ host }: Office): Promise<void> {
  const store = await host.bus.issuer("eyes").loadAll();
  const journal = (await host.journal.load()).filter(({ kind }) => kind === "object");
  for (const { key, bytes } of journal)
    expect(Buffer.from(store.get(key) ?? []).equals(Buffer.from(bytes)), key).toBe(true);
  const shared = payloadOf<GroupIndexState>(store.get(groupIndexKey) ?? new Uint8Array()).entries;
  const entries = host.issuer.entries.list();
  expect(shared.map(({ id }) => id)).toEqual(
    entries.filter(({ nodes }) => nodes.kind !== "ids").map(({ id }) => id),
  );
  for (const { node } of host.issuer.nodes.list()) expect(store.has(manifestKey(node))).toBe(true);
  expect(host.issuer.status().pending).toBe(0);
}
