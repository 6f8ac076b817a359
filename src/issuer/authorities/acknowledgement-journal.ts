import { EnvelopeError } from "../../core/envelope/error.ts";
import { onlyKey } from "../../core/envelope/trust.ts";
import type { Log } from "../../kit/log.ts";
import type { JournalRecord } from "../ports.ts";
import { nodeKey, recordKey } from "../requests.ts";
import type { SignedState } from "../state/signed-state.ts";
import type { Acknowledgements } from "./acknowledgements.ts";

/** Takes over the acknowledgements that the journal kept, of nodes that are known. */
export function resumeAcks(
  records: readonly JournalRecord[],
  to: { readonly state: SignedState; readonly into: Acknowledgements; readonly log: Log },
): void {
  for (const { kind, key, bytes } of records) {
    const node = kind === "ack" ? to.state.get("node-record", recordKey(key)) : undefined;
    if (node === undefined) continue;
    try {
      to.into.resume(bytes, onlyKey("node", nodeKey(node.current)));
    } catch (thrown) {
      if (!(thrown instanceof EnvelopeError)) throw thrown;
      to.log.info(
        { node: node.node },
        "its last acknowledgement was signed with a key since replaced; waiting for a new one",
      );
    }
  }
}
