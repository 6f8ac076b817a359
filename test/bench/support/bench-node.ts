import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadNodeConfig, type NodeConfig } from "../../../src/daemon/config.ts";
import { trustDomain } from "./fleet.ts";

/** The configuration of a node called `asker` that lives in this process, read as a daemon reads it. */
export function nodeConfig(folder: string, issuerUrl: string): NodeConfig {
  mkdirSync(folder, { mode: 0o700 });
  const file = join(folder, "node.yaml");
  writeFileSync(
    file,
    `trustDomain: ${trustDomain}\ndir: state\nname: asker\nsocket: s\nissuerUrls: ["${issuerUrl}"]\n`,
  );
  return loadNodeConfig(file);
}
