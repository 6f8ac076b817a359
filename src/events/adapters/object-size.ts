import { EventsError } from "../error.ts";
import { maxObjectBytes } from "../subjects.ts";

/** @throws EventsError BUS_TOO_LARGE, before anything is sent */
export function checkSize(bytes: Uint8Array, what: string): void {
  if (bytes.length <= maxObjectBytes) return;
  throw new EventsError(
    "BUS_TOO_LARGE",
    `${what} has ${bytes.length} bytes, and ${maxObjectBytes} is the most; split it into pages (ND-11)`,
  );
}
