// Builds pkcs11js, the one package here without a binary of its own: set-up runs no install scripts, and most checkouts have no use for a token.
// Runs before the interop suites. Does nothing when it is built, and only says so where no compiler is.

import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { lastLines, run, say } from "./child.mjs";
import { onPath, pinnedNode, root } from "./parts.mjs";

const built = join(root, "node_modules", "pkcs11js", "build", "Release", "pkcs11.node");

/** The headers that came with the pinned Node, so that nothing is fetched; undefined leaves the choice to node-gyp. */
function headersOf(node) {
  const home = dirname(dirname(realpathSync(node)));
  return existsSync(join(home, "include", "node", "node_api.h")) ? home : undefined;
}

const lacking = ["npm", "g++", "make", "python3"].filter((tool) => onPath(tool) === undefined);
if (existsSync(built)) process.exit(0);
if (lacking.length > 0) {
  say(
    `pkcs11js is not built, since ${lacking.join(", ")} is not here: suites with a token are left out.`,
  );
  process.exit(0);
}
say("building pkcs11js ...");
const headers = headersOf(pinnedNode());
const env = { ...process.env, npm_config_ignore_scripts: "false" };
if (headers !== undefined) env.npm_config_nodedir = headers;
const { code, output } = await run("npm", ["rebuild", "pkcs11js", "--foreground-scripts"], { env });
if (code !== 0 || !existsSync(built)) {
  say(`pkcs11js could not be built: npm rebuild ended with ${code}.\n${lastLines(output)}`);
  process.exit(1);
}
