import { describe, expect, test } from "vitest";
import { parseBundle } from "../../src/core/bundle/document.ts";
import { bundleKey } from "../../src/core/envelope/object-keys.ts";
import type { BundleState } from "../../src/core/envelope/payloads.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { storeIsWhole, whileDying } from "./support/dying.ts";
import { type Office, openOffice, operator } from "./support/office.ts";

/** Where authorities stand, without a name that chance gave. */
interface Standing {
  readonly statuses: readonly string[];
  readonly roots: number;
  readonly tainted: number;
  readonly running: string;
  readonly paused: boolean;
}

interface Verb {
  readonly name: string;
  /** What comes before. */
  readonly first: (office: Office) => Promise<unknown>;
  readonly order: (office: Office) => Promise<unknown>;
  /** How it stands when nothing goes wrong. */
  readonly end: Partial<Standing>;
}

const by = "uid 0";
const orders = ({ host }: Office) => host.issuer.ca.orders;
const ordered = (office: Office, run: () => Promise<unknown>): Promise<unknown> =>
  office.host.issuer.order({ verb: "ca test", subject: "x509", by: operator }, run);
const idOf = ({ host }: Office, status: string): string =>
  host.issuer.authorities.list().find((one) => one.status === status)?.authority ?? "";
const nothing = (): Promise<void> => Promise.resolve();

/** An old authority, with nobody below it. */
async function renewed(office: Office): Promise<void> {
  await orders(office).prepare(by);
  await orders(office).activate("", by);
  await office.host.issuer.rotation.advance();
}

/** A rotation that waits for a node. */
async function waiting(office: Office): Promise<void> {
  await office.node("east");
  await office.host.issuer.rotate(operator);
}

const verbs: readonly Verb[] = [
  {
    name: "rotate",
    first: nothing,
    order: (office) => office.host.issuer.rotate(operator),
    end: { statuses: ["active", "revoked"], roots: 1, running: "" },
  },
  {
    name: "prepare",
    first: nothing,
    order: (office) => ordered(office, () => orders(office).prepare(by)),
    end: { statuses: ["active", "prepared"], roots: 2, running: "" },
  },
  {
    name: "activate",
    first: (office) => orders(office).prepare(by),
    order: (office) => ordered(office, () => orders(office).activate("", by)),
    end: { statuses: ["active", "old"], roots: 2, running: "" },
  },
  {
    name: "revoke, of a prepared one",
    first: (office) => orders(office).prepare(by),
    order: (office) => ordered(office, () => orders(office).revoke(idOf(office, "prepared"), by)),
    end: { statuses: ["active", "revoked"], roots: 1, running: "" },
  },
  {
    name: "revoke, of an old one",
    first: renewed,
    order: (office) => ordered(office, () => orders(office).revoke(idOf(office, "old"), by)),
    end: { statuses: ["active", "revoked"], roots: 1, running: "" },
  },
  {
    name: "taint, of the active one",
    first: nothing,
    order: (office) => ordered(office, () => orders(office).taint(idOf(office, "active"), by)),
    end: { statuses: ["active", "revoked"], roots: 1, tainted: 0, running: "" },
  },
  {
    name: "taint, of an old one",
    first: renewed,
    order: (office) => ordered(office, () => orders(office).taint(idOf(office, "old"), by)),
    end: { statuses: ["active", "revoked"], roots: 1, tainted: 0, running: "" },
  },
  {
    name: "prune",
    first: renewed,
    order: (office) => ordered(office, () => orders(office).prune(by)),
    end: { statuses: ["active", "revoked"], roots: 1, running: "" },
  },
  {
    name: "abort",
    first: waiting,
    order: (office) => ordered(office, () => office.host.issuer.rotation.abort(by)),
    end: { statuses: ["active", "revoked"], roots: 1, running: "" },
  },
  {
    name: "pause",
    first: waiting,
    order: (office) => ordered(office, () => office.host.issuer.rotation.pause()),
    end: { statuses: ["active", "prepared"], roots: 2, running: "prepare", paused: true },
  },
  {
    name: "force",
    first: waiting,
    order: (office) => ordered(office, () => office.host.issuer.rotation.force(by, true)),
    end: { statuses: ["active", "old"], roots: 2, running: "reissue" },
  },
];

async function standing({ host, domain }: Office): Promise<Standing> {
  const bytes = await host.bus.node("eyes").read(bundleKey(domain.trustDomain));
  const bundle = payloadOf<BundleState>(bytes ?? new Uint8Array());
  const running = host.issuer.rotation.running();
  return {
    statuses: host.issuer.authorities
      .list()
      .map(({ status }) => status)
      .toSorted(),
    roots: parseBundle(domain.trustDomain, bundle.document).x509Authorities.length,
    tainted: bundle.taintedAuthorities.length,
    running: running?.step ?? "",
    paused: running?.paused ?? false,
  };
}

const appends = [1, 2, 3, 4, 5, 6, 7, 8];
const kept = [0, 1, 2, 3];
const crashes = appends.flatMap((append) => kept.map((records) => ({ append, kept: records })));
const few = (verb: Verb): readonly { readonly append: number; readonly kept: number }[] =>
  verb.name === "rotate" || verb.name.startsWith("taint")
    ? crashes
    : crashes.filter(({ append }) => append <= 4);
const cases = verbs.flatMap((verb) =>
  few(verb).map((crash) => ({ verb, name: verb.name, ...crash })),
);

describe("an issuer that dies in an order about authorities, and where it ends (JRN-01, INV-6)", () => {
  test.for(cases)("$name: append $append, $kept kept", async ({ verb, append, kept: records }) => {
    const office = await openOffice();
    await verb.first(office);
    await whileDying(office.host, { append, kept: records }, () => verb.order(office));
    await office.clock.advance(4000);
    // Whoever was not answered looks, and gives the order again where it was not carried out.
    if (!isAt(await standing(office), verb.end)) {
      await verb.order(office);
      await office.clock.advance(4000);
    }
    expect(await standing(office)).toMatchObject(verb.end);
    await storeIsWhole(office);
  });

  test.for(crashes.filter(({ append }) => append <= 4))(
    "the very first start: append $append, $kept kept",
    async (crash) => {
      const office = await openOffice({}, { crash });
      expect(await standing(office)).toMatchObject({ statuses: ["active"], roots: 1, running: "" });
      await storeIsWhole(office);
    },
  );
});

function isAt(stands: Standing, end: Partial<Standing>): boolean {
  const same = { ...stands, ...end };
  return JSON.stringify(same) === JSON.stringify(stands);
}
