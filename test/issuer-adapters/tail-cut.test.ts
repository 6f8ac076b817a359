import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { adminService } from "../../src/issuer/adapters/admin-service.ts";
import { quiet } from "../support/simulation-quiet.ts";

test("TM-N-06: whoever stops reading events and is cut off leaves no subscription behind", async () => {
  let open = 0;
  async function* tailEvents({ signal }: { readonly signal: AbortSignal }) {
    open += 1;
    try {
      for (let sequence = 1; !signal.aborted; sequence += 1)
        yield await Promise.resolve({ sequence, bytes: new Uint8Array() });
    } finally {
      open -= 1;
    }
  }
  const service = adminService({
    operatorOf: () => Promise.resolve({ kind: "unix", uid: 0, pid: 1 }),
    surroundings: { tailEvents },
  } as never);
  const call = Object.assign(new EventEmitter(), {
    request: { since: 0n },
    write: () => false,
    end: () => undefined,
    destroy: () => undefined,
  });
  service.tailEvents(call as never);
  await quiet();
  expect(open).toBe(1);
  call.emit("cancelled");
  await quiet();
  expect(open).toBe(0);
});
