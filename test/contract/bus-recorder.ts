import type { LogMessage, NodeListener } from "../../src/events/bus.ts";

/** What a node heard, in words, and a way to wait for it without a clock. */
export class BusRecorder implements NodeListener {
  readonly heard: string[] = [];
  readonly #waiting = new Set<() => void>();

  onHead(bytes: Uint8Array): void {
    this.#note(`head ${text(bytes)}`);
  }

  onObject(key: string, bytes: Uint8Array): void {
    this.#note(`${key} ${text(bytes)}`);
  }

  onConnected(): void {
    this.#note("connected");
  }

  onDisconnected(): void {
    this.#note("disconnected");
  }

  /** Resolves when `words` have been heard `times` times in all. The test's own time limit is the alarm. */
  until(words: string, times = 1): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.heard.filter((each) => each === words).length < times) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #note(words: string): void {
    this.heard.push(words);
    for (const look of this.#waiting) look();
  }
}

/** Bytes of a text. */
export function bytes(words: string): Uint8Array {
  return new TextEncoder().encode(words);
}

/** Text of bytes; "nothing" for nothing. */
export function text(found: Uint8Array | undefined): string {
  return found === undefined ? "nothing" : new TextDecoder().decode(found);
}

/** Messages of a tail up to the one that says `last`, or to its end. */
export async function collect(
  messages: AsyncIterable<LogMessage>,
  last: string,
): Promise<readonly LogMessage[]> {
  const found: LogMessage[] = [];
  for await (const message of messages) {
    found.push(message);
    if (text(message.bytes) === last) break;
  }
  return found;
}

/** A signal that never aborts. */
export function never(): AbortSignal {
  return new AbortController().signal;
}
