import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { EventsError } from "../error.ts";

/** Where an event stands in its batch; undefined for one that goes alone. */
export interface BatchPlace {
  readonly batch: string;
  /** From 1. */
  readonly sequence: number;
  readonly isLast: boolean;
}

/** Structured mode, the one that every CloudEvents library reads (ND-40). */
const head = "NATS/1.0\r\nContent-Type: application/cloudevents+json\r\nNats-Msg-Id: ";

/**
 * Headers of events, written at once: the client's own look at every letter of every name, for each event anew, and cost more than the event. One
 * object serves event after event, since the client writes them out before it returns.
 */
export class EventHeaders {
  /** To be given to the client; says what {@link EventHeaders.tell} was told last. */
  readonly headers: MsgHdrs;
  #text = "";

  constructor() {
    this.headers = Object.assign(headers(), { encode: () => Buffer.from(this.#text, "utf8") });
  }

  /** `id` has passed {@link checkEventId}. */
  tell(id: string, place: BatchPlace | undefined): void {
    this.#text = `${head}${id}${place === undefined ? "" : placeText(place)}\r\n\r\n`;
  }
}

function placeText({ batch, sequence, isLast }: BatchPlace): string {
  const commit = isLast ? "\r\nNats-Batch-Commit: 1" : "";
  return `\r\nNats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${sequence}${commit}`;
}

/** An id that is no header value would bring in headers of its own. @throws EventsError BUS_BAD_KEY */
export function checkEventId(id: string): void {
  if (/^[!-~]{1,255}$/.test(id)) return;
  throw new EventsError(
    "BUS_BAD_KEY",
    `${JSON.stringify(id)} is no event id: use up to 255 printable ASCII characters without spaces`,
  );
}
