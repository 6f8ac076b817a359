import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Dev, type Ended, run } from "../../support/dev.ts";
import { goIsThere } from "../support/go-spiffe.ts";
import { buildGrpcurl } from "../support/grpcurl.ts";
import { pythonIsThere, pythonWith } from "../support/python-env.ts";

const nouns = ["Admin", "Authority", "Entry", "Node"].map((noun) => `herald.v1.${noun}Service`);
const created = z.object({ entry: z.object({ id: z.string() }) });

let dev: Dev;
beforeAll(async () => {
  dev = await Dev.start();
});
afterAll(async () => {
  await dev[Symbol.asyncDispose]();
});

/** The command lines of docs/admin-api.md, as a shell would split them. */
function documented(): readonly (readonly string[])[] {
  return readFileSync("docs/admin-api.md", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("$ grpcurl "))
    .map((line) =>
      [...line.slice("$ grpcurl ".length).matchAll(/'([^']*)'|(\S+)/g)].map(
        ([, quoted, plain]) => quoted ?? plain ?? "",
      ),
    );
}

describe.skipIf(!goIsThere())("grpcurl (needs go)", () => {
  let folder: string;
  let grpcurl: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "hgrpcurl-"));
    grpcurl = await buildGrpcurl(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const ask = async (args: readonly string[]): Promise<Ended> => {
    const socket = dev.ready.admin.replace(/^unix:(\/\/)?/, "");
    const own = args.map((arg) => arg.replace("/run/herald/admin.sock", socket));
    return await run(grpcurl, own);
  };

  test("every example of docs/admin-api.md does what it says", async () => {
    let entry = "";
    const examples = documented();
    expect(examples.length).toBeGreaterThan(10);
    for (const example of examples) {
      const { status, stdout, stderr } = await ask(
        example.map((arg) => arg.replace("ENTRY", entry)),
      );
      // A stream that goes on is ended by -max-time, which is a failure to grpcurl.
      const isCut = example.includes("-max-time") && stderr.includes("DeadlineExceeded");
      expect([example.join(" "), status === 0 || isCut ? 0 : stderr]).toEqual([
        example.join(" "),
        0,
      ]);
      if (example.includes("herald.v1.EntryService/CreateEntry"))
        entry = created.parse(JSON.parse(stdout)).entry.id;
    }
  });

  test("a refusal comes with its field", async () => {
    const request =
      '{"entry": {"spiffe_id": "spiffe://example.org/herald/x", "selectors": ["unix:uid:1"]}}';
    const { status, stderr } = await ask(
      `-plaintext|-unix|-format-error|-d|${request}|/run/herald/admin.sock|herald.v1.EntryService/CreateEntry`.split(
        "|",
      ),
    );
    expect(status).not.toBe(0);
    expect(JSON.parse(stderr)).toMatchObject({
      code: 3,
      details: [
        { reason: "ENTRY_INVALID", domain: "herald", metadata: { field: "spiffe_id" } },
        { fieldViolations: [{ field: "spiffe_id" }] },
      ],
    });
  });
});

describe.skipIf(!pythonIsThere())(
  "grpcio with reflection and googleapis (needs python3 with venv)",
  () => {
    let python: string;
    beforeAll(async () => {
      const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url));
      python = await pythonWith("grpcio", requirements);
    });

    const ask = async (...args: readonly string[]): Promise<unknown> => {
      const client = fileURLToPath(new URL("client.py", import.meta.url));
      const { status, stdout, stderr } = await run(python, [client, dev.ready.admin, ...args]);
      if (status !== 0) throw new Error(stderr.slice(-2000));
      return JSON.parse(stdout);
    };

    test("finds the services", async () => {
      const { services } = z.object({ services: z.array(z.string()) }).parse(await ask("services"));
      for (const name of ["grpc.health.v1.Health", ...nouns]) expect(services).toContain(name);
    });

    test("calls them without a stub", async () => {
      expect(await ask("call", "herald.v1.AdminService/GetStatus", "{}")).toMatchObject({
        answer: { trust_domain: "example.org" },
      });
      expect(await ask("call", "grpc.health.v1.Health/Check", "{}")).toEqual({
        answer: { status: "SERVING" },
      });
    });

    test("reads which field is at fault, and why", async () => {
      const entry = { spiffe_id: "spiffe://example.org/x", selectors: ["nonsense"] };
      const request = JSON.stringify({ entry });
      expect(await ask("call", "herald.v1.EntryService/CreateEntry", request)).toEqual({
        code: "INVALID_ARGUMENT",
        reason: "FIELD_INVALID",
        domain: "herald",
        field: "selectors[0]",
      });
    });
  },
);
