/** What each room's own error class builds on: a closed union of codes, a sentence for people, the cause kept for the log. */
export abstract class HeraldError<Code extends string> extends Error {
  /** Stable; compare this, never the text. */
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The one-line text of anything thrown, with its chain of causes, for a log or a terminal. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const own = thrown.message === "" ? thrown.name : thrown.message;
  if (thrown.cause === undefined) return own;
  const cause = reasonOf(thrown.cause);
  // Many an error tells its cause in its own words already.
  return own.includes(cause) ? own : `${own}: ${cause}`;
}
