import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorDetailsOf } from "../../src/cli/error-details.ts";
import { BadRequest, ErrorInfo } from "../../src/wire/google/rpc/error_details.ts";
import { Status } from "../../src/wire/google/rpc/status.ts";
import { EntrySpec, ListEntriesRequest } from "../../src/wire/herald/v1/entries.ts";
import { AdminWorld, errorOf } from "./support/admin-world.ts";

const good: EntrySpec = {
  ...EntrySpec.decode(new Uint8Array()),
  spiffeId: "spiffe://example.org/web",
  selectors: ["unix:uid:1000"],
};

describe("the admin API's errors name the field at fault", () => {
  let world: AdminWorld;
  beforeAll(async () => {
    world = await AdminWorld.open();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test.for<readonly [string, Partial<EntrySpec>, string, string]>([
    ["no SPIFFE ID", { spiffeId: "web" }, "FIELD_INVALID", "spiffe_id"],
    [
      "a reserved path",
      { spiffeId: "spiffe://example.org/herald/x" },
      "ENTRY_INVALID",
      "spiffe_id",
    ],
    ["another domain", { spiffeId: "spiffe://example.com/x" }, "ENTRY_INVALID", "spiffe_id"],
    ["no selector", { selectors: [] }, "ENTRY_INVALID", "selectors"],
    ["a bad selector", { selectors: ["unix:uid:1", "no"] }, "FIELD_INVALID", "selectors[1]"],
    ["a long life", { x509TtlSeconds: 10_000_000 }, "ENTRY_INVALID", "x509_ttl_seconds"],
    ["no DNS name", { dnsNames: ["a b"] }, "ENTRY_INVALID", "dns_names"],
    [
      "a bad node",
      { nodes: { ids: ["east"], labels: new Map() } },
      "FIELD_INVALID",
      "nodes.ids[0]",
    ],
    [
      "ids and labels",
      { nodes: { ids: ["spiffe://example.org/n"], labels: new Map([["a", "b"]]) } },
      "ENTRY_INVALID",
      "nodes",
    ],
    [
      "a bad label",
      { nodes: { ids: [], labels: new Map([["a b", "c"]]) } },
      "LABEL_INVALID",
      'labels["a b"]',
    ],
  ])("%s: $3", async ([, bend, reason, field]) => {
    const error = await errorOf((done) =>
      world.entries.createEntry({ entry: { ...good, ...bend }, allow: [] }, done),
    );
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(errorDetailsOf(error)).toEqual({ reason, field });
    const [written] = error.metadata.get("grpc-status-details-bin");
    const told = Status.decode(written as Buffer);
    expect([told.code, told.message]).toEqual([error.code, error.details]);
    const [info, bad] = told.details;
    expect(ErrorInfo.decode(info?.value ?? Buffer.alloc(0))).toEqual({
      reason,
      domain: "herald",
      metadata: new Map([["field", field]]),
    });
    expect(BadRequest.decode(bad?.value ?? Buffer.alloc(0)).fieldViolations).toEqual([
      { field, description: error.details },
    ]);
  });

  test("a node's name", async () => {
    const request = { nodeName: "No", labels: new Map<string, string>(), replaces: false };
    const error = await errorOf((done) => world.nodes.createJoinToken(request, done));
    expect(errorDetailsOf(error)).toEqual({ reason: "NODE_NAME_INVALID", field: "node_name" });
  });

  test("what is not about a field has a reason only", async () => {
    const unknown = await errorOf((done) =>
      world.entries.deleteEntry({ id: "nosuch", revision: "" }, done),
    );
    expect(unknown.code).toBe(status.NOT_FOUND);
    expect(errorDetailsOf(unknown)).toEqual({ reason: "ENTRY_NOT_FOUND" });
    world.denied = true;
    const denied = await errorOf((done) =>
      world.entries.listEntries(ListEntriesRequest.decode(new Uint8Array()), done),
    );
    world.denied = false;
    expect(denied.code).toBe(status.PERMISSION_DENIED);
    expect(errorDetailsOf(denied)).toEqual({ reason: "PERMISSION_DENIED" });
  });

  test("a value of a megabyte does not come back in the trailers", async () => {
    const spiffeId = `spiffe://example.org/${"x".repeat(1_000_000)} `;
    const error = await errorOf((done) =>
      world.entries.createEntry({ entry: { ...good, spiffeId }, allow: [] }, done),
    );
    expect(errorDetailsOf(error)).toMatchObject({ field: "spiffe_id" });
  });
});

describe("the details of an error that is not Herald's", () => {
  const withDetails = (bytes: Buffer): { readonly metadata: Metadata } => {
    const metadata = new Metadata();
    metadata.set("grpc-status-details-bin", bytes);
    return { metadata };
  };
  const info = (domain: string, reason: string): Buffer =>
    Buffer.from(
      Status.encode({
        code: 3,
        message: "",
        details: [
          {
            typeUrl: "type.googleapis.com/google.rpc.ErrorInfo",
            value: Buffer.from(ErrorInfo.encode({ domain, reason, metadata: new Map() }).finish()),
          },
        ],
      }).finish(),
    );

  test.for<readonly [string, Buffer, object]>([
    ["rubbish", Buffer.from("ff00ff00", "hex"), {}],
    ["nothing", Buffer.alloc(0), {}],
    ["another domain's", info("example.com", "STOCKOUT"), {}],
    ["a reason that is none", info("herald", "\u001b[31m"), {}],
    ["Herald's", info("herald", "FENCED"), { reason: "FENCED" }],
  ])("%s", ([, bytes, expected]) => {
    expect(errorDetailsOf(withDetails(bytes))).toEqual(expected);
  });
});
