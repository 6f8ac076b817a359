import type { Operator } from "../../../src/core/envelope/audit-payloads.ts";
import type { Entry, NewEntry, NodeSelection } from "../../../src/core/policy/entry.ts";
import { parseSelector } from "../../../src/core/spiffe/selector.ts";
import { parseSpiffeId } from "../../../src/core/spiffe/spiffe-id.ts";
import type { IssuerSettings } from "../../../src/issuer/options.ts";
import { HeldClock } from "../../support/held-clock.ts";
import type { JournalCrash } from "../../support/memory-journal.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { Asker } from "../../support/simulation-asker.ts";
import { type SimulationDomain, simulationDomain } from "../../support/simulation-domain.ts";
import { SimulationIssuer, type SimulationIssuerOptions } from "../../support/simulation-issuer.ts";
import { quiet } from "../../support/simulation-quiet.ts";

/** Who gives orders in these tests. */
export const operator: Operator = { kind: "unix", uid: 0, pid: 1 };

type Labels = Readonly<Record<string, string>>;

/** An issuer at work, its machine, and the clock that it goes by. */
export interface Office {
  readonly domain: SimulationDomain;
  readonly clock: HeldClock;
  readonly host: SimulationIssuer;
  /** A join string for a node of this name. */
  readonly token: (nodeName: string, labels?: Labels) => Promise<string>;
  /** A node that is not enrolled. */
  readonly stranger: (name: string) => Asker;
  /** A node that is. */
  readonly node: (name: string, labels?: Labels) => Promise<Asker>;
  readonly entry: (path: string, nodes?: NodeSelection) => Promise<Entry>;
}

/** Opens one. With a crash, its first start dies in that write, and the second one is the one that is open. */
export async function openOffice(
  settings: Partial<IssuerSettings> = {},
  parts: Partial<SimulationIssuerOptions> & { readonly crash?: JournalCrash } = {},
): Promise<Office> {
  const clock = new HeldClock(Date.UTC(2026, 10, 22, 12));
  const domain = await simulationDomain(clock.now());
  const { crash, ...world } = parts;
  const host = new SimulationIssuer({
    domain,
    clock,
    random: new SeededRandom(1),
    settings,
    ...world,
  });
  if (crash !== undefined) {
    host.journal.crashAt(crash, () => host.kill());
    host.start().catch(() => undefined);
    await quiet();
    host.kill();
  }
  await host.start();
  const office: Office = {
    domain,
    clock,
    host,
    async token(nodeName, labels = {}) {
      return (await host.issuer.createToken({ nodeName, labels, replaces: false }, operator))
        .joinString;
    },
    stranger: (name) => new Asker({ domain, host, clock, name }),
    async node(name, labels = {}) {
      const asker = office.stranger(name);
      await asker.enrol(await office.token(name, labels));
      return asker;
    },
    async entry(path, nodes = { kind: "all" }) {
      return await host.issuer.createEntry(newEntry(path, nodes), operator);
    },
  };
  return office;
}

/** What an operator would type for a workload that runs as user 1000. */
export function newEntry(path: string, nodes: NodeSelection = { kind: "all" }): NewEntry {
  return {
    spiffeId: parseSpiffeId(`spiffe://example.org${path}`),
    nodes,
    selectors: [parseSelector("unix:uid:1000")],
    x509TtlSeconds: 0,
    dnsNames: [],
    hint: "",
    priority: 0,
  };
}
