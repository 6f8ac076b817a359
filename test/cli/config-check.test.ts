import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { herald, temporaryFolder } from "./support/run.ts";

const node = `trustDomain: example.org
dir: state
name: web-1
issuerUrls: ["https://issuer.example.org:8443"]
`;

test("a good file is named for what it is", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "node.yaml");
  writeFileSync(path, node);
  expect(await herald(["config", "check", path])).toEqual({
    code: 0,
    out: `${path} is a good configuration of a node of example.org\n`,
    err: "",
  });
  const ran = await herald(["config", "check", path, "--json"]);
  expect(JSON.parse(ran.out)).toMatchObject({
    kind: "node",
    config: { dir: join(folder.path, "state"), cache: "sealed" },
  });
});

test("everything that is wrong is told at once, each with its line", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "node.yaml");
  writeFileSync(path, `${node}cach: sealed\nlog:\n  level: loud\n`);
  const ran = await herald(["config", "check", path]);
  expect(ran.code).toBe(2);
  expect(ran.err.split("\n")).toEqual([
    `herald: the configuration ${path} cannot be used`,
    `  ${path}:5: cach: is not a key here; the keys are trustDomain, dir, name, socket, socketMode, issuerUrls, joinFile, attestor, cache, cacheKeyFile, http, sds, revocation, log`,
    `  ${path}:7: log.level: "loud" will not do; write debug or info or warn or error`,
    `  try: correct the lines named, then: herald config check ${path}`,
    "",
  ]);
});
