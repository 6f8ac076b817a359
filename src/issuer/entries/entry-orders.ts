import { createHash } from "node:crypto";
import type { Operator } from "../../core/envelope/audit-payloads.ts";
import { printCompactJson } from "../../core/envelope/compact-json.ts";
import { type Entry, givenId, type NewEntry } from "../../core/policy/entry.ts";
import type { Announcer } from "../announcer.ts";
import type { Applied, Declaration } from "./declaration.ts";
import type { Allowed, Entries } from "./entries.ts";

export interface EntryOrdersOptions {
  readonly entries: Entries;
  readonly announcer: Announcer;
  /** Records an order on the audit chain and then runs it. */
  readonly carryOut: <T>(
    order: { readonly verb: string; readonly subject: string; readonly by: Operator },
    run: () => Promise<T>,
  ) => Promise<T>;
}

/** Which entry is meant, and in which revision. */
export interface EntryTarget {
  readonly id: string;
  /** What the operator looked at; undefined for whatever there is. */
  readonly revision?: bigint;
}

/** Operators' orders about entries: on the audit chain first, with the linter's rules they override, then done, then announced. */
export class EntryOrders {
  readonly #options: EntryOrdersOptions;

  constructor(options: EntryOrdersOptions) {
    this.#options = options;
  }

  /** @throws IssuerError as {@link Entries.create} */
  async create(wanted: NewEntry, by: Operator, allowed: Allowed): Promise<Entry> {
    const { entries, announcer, carryOut } = this.#options;
    const subject = givenId({ template: "", ...wanted });
    const order = { verb: verbOf("entry create", allowed), subject, by };
    const entry = await carryOut(order, async () => await entries.create(wanted, allowed));
    announcer.announce("entry.created", givenId(entry), { entry: entry.id });
    return entry;
  }

  /** @throws IssuerError as {@link Entries.update} */
  async update(
    target: Required<EntryTarget>,
    change: { readonly wanted: NewEntry; readonly allowed: Allowed },
    by: Operator,
  ): Promise<Entry> {
    const { entries, announcer, carryOut } = this.#options;
    const { wanted, allowed } = change;
    const order = { verb: verbOf("entry update", allowed), subject: target.id, by };
    const entry = await carryOut(order, async () => await entries.update(target, wanted, allowed));
    announcer.announce("entry.updated", givenId(entry), { entry: entry.id });
    return entry;
  }

  /** @throws IssuerError as {@link Entries.delete} */
  async delete({ id, revision }: EntryTarget, by: Operator): Promise<Entry> {
    const { entries, announcer, carryOut } = this.#options;
    const order = { verb: "entry delete", subject: id, by };
    const entry = await carryOut(order, async () => await entries.delete(id, revision));
    announcer.announce("entry.deleted", givenId(entry), { entry: id });
    return entry;
  }

  /** The audit names the set and the hash of what was declared. @throws IssuerError as {@link Entries.apply} */
  async apply(declaration: Declaration, by: Operator): Promise<Applied> {
    const { entries, announcer, carryOut } = this.#options;
    const { set, wanted, prune, allowed } = declaration;
    // What is refused is no order.
    entries.plan(declaration);
    const hash = createHash("sha256").update(printCompactJson(wanted)).digest("hex");
    const verb = verbOf(prune ? "entry apply --prune" : "entry apply", allowed);
    const order = { verb, subject: `${set} ${wanted.length} entries sha256:${hash}`, by };
    const applied = await carryOut(order, async () => await entries.apply(declaration));
    const count = (kind: string): number =>
      applied.steps.filter((step) => step.kind === kind).length;
    const [created, updated, undeclared] = [count("create"), count("update"), count("undeclared")];
    const deleted = prune ? undeclared : 0;
    if (created + updated + deleted > 0)
      announcer.announce("entries.applied", set, { set, created, updated, deleted });
    return applied;
  }
}

function verbOf(verb: string, allowed: Allowed): string {
  return [verb, ...[...allowed].toSorted().map((rule) => `--allow ${rule}`)].join(" ");
}
