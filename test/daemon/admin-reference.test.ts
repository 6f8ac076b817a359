import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { adminContracts } from "../../src/daemon/admin-reflection.ts";
import { callReference } from "./support/call-reference.ts";

test("docs/admin-calls.md has every call as the contracts describe it", async () => {
  const written = callReference();
  for (const service of adminContracts().services)
    if (service.startsWith("herald.")) expect(written).toContain(`### ${service}/`);
  await expect(written).toMatchFileSnapshot("../../docs/admin-calls.md");
});

test("docs/admin-api.md has an example of each service", () => {
  const examples = readFileSync("docs/admin-api.md", "utf8");
  for (const service of adminContracts().services) expect(examples).toContain(` ${service}/`);
});
