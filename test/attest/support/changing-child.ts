// A process that connects: `changing-child.ts <socket path>`. When told a line it becomes `nobody` and prints its user.
import { connect } from "node:net";
import { createInterface } from "node:readline";

connect(process.argv[2] ?? "").on("error", () => {});
for await (const _ of createInterface({ input: process.stdin })) {
  process.setuid?.(65534);
  process.stdout.write(`${process.getuid?.()}\n`);
}
