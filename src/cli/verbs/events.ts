import type { Command } from "commander";
import type { TailEventsResponse } from "../../wire/herald/v1/admin.ts";
import { count } from "../argument-parsers.ts";
import { printEvent } from "../event-line.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";

interface TailOptions {
  readonly admin?: string;
  readonly since?: number;
  readonly count?: number;
  readonly json?: true;
}

export function addEvents(program: Command, shop: Shop): void {
  const events = addGroup(program, {
    name: "events",
    description: "CloudEvents, as services hear them",
  });
  addTail(events, shop);
}

function addTail(events: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(events, {
      name: "tail",
      description: "print events as they come, until Ctrl-C",
      examples: ["herald events tail", "herald events tail --since 1 --count 10 --json"],
    }),
  )
    .option(
      "--since <sequence>",
      "begin with the event of this sequence; 1 for all that are kept (default: new ones only)",
      count,
    )
    .option("--count <number>", "end after so many", count);
  verb.action(async () => {
    const options = verb.opts<TailOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const interrupt = new AbortController();
    const forget = surroundings.onInterrupt(() => interrupt.abort());
    try {
      await withIssuer(options.admin, surroundings, async (admin) => {
        const stream = admin.tailEvents({ since: BigInt(options.since ?? 0) }, interrupt.signal);
        let left = options.count ?? Number.POSITIVE_INFINITY;
        if (left === 0) return;
        for await (const message of stream) {
          surroundings.out(options.json === true ? jsonLine(message) : printEvent(message));
          left -= 1;
          if (left === 0) return;
        }
      });
    } finally {
      forget();
    }
  });
}

/** The sequence counts from 1 and fits a double for longer than the stream lives. */
function jsonLine({ sequence, event }: TailEventsResponse): string {
  return `${JSON.stringify({ sequence: Number(sequence), event: JSON.parse(event) as unknown })}\n`;
}
