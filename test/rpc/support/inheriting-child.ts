// A process that connects, then hands its open connection to a child of its own: `inheriting-child.ts <socket path>`.
// Prints that child's pid; the child speaks on the connection through our stdin and stdout.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";

const socket = connect(process.argv[2] ?? "");
await once(socket, "connect");
const heir = spawn(process.execPath, [`${import.meta.dirname}/caller-child.ts`, "3"], {
  stdio: ["inherit", "inherit", "inherit", socket],
});
process.stdout.write(`${JSON.stringify(heir.pid)}\n`);
