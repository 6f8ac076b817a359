import { readdirSync, readFileSync } from "node:fs";
import { Client, credentials, status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { addReflection, adminContracts } from "../../src/daemon/admin-reflection.ts";
import { healthService } from "../../src/issuer/adapters/admin-health.ts";
import { createGrpcServer } from "../../src/rpc/grpc-server.ts";
import {
  HealthClient,
  HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../src/wire/grpc/health/v1/health.ts";
import { listen } from "../cli/support/fake-admin.ts";
import { temporaryFolder } from "../cli/support/run.ts";
import { HeldClock } from "../support/held-clock.ts";

test("every service of the contracts is described, and nothing that is none of the admin API's", () => {
  const written = readdirSync("proto/herald", { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".proto"))
    .flatMap((path) => {
      const source = readFileSync(`proto/herald/${path}`, "utf8");
      return [...source.matchAll(/^service (\w+)/gm)].map(([, name]) => `herald.v1.${name}`);
    });
  expect(adminContracts().services.toSorted()).toEqual(
    ["grpc.health.v1.Health", ...written].toSorted(),
  );
});

async function serving(): Promise<{ readonly target: string; serve: boolean; clock: HeldClock }> {
  const folder = temporaryFolder();
  const server = createGrpcServer();
  const clock = new HeldClock(0);
  const world = { target: `unix:${folder.path}/x.sock`, serve: true, clock };
  const contracts = adminContracts();
  const { services } = contracts;
  server.addService(
    HealthService,
    healthService({ services, isServing: () => world.serve, clock }),
  );
  addReflection(server, contracts);
  await listen(server, `${folder.path}/x.sock`);
  onTestFinished(() => {
    server.forceShutdown();
    folder[Symbol.dispose]();
  });
  return world;
}

describe("grpc.health.v1", () => {
  test("tells of the whole and of each service, and of no other", async () => {
    const world = await serving();
    const client = new HealthClient(world.target, credentials.createInsecure());
    onTestFinished(() => client.close());
    const check = async (service: string): Promise<ServingStatus | status> =>
      await new Promise((resolve) => {
        client.check({ service }, (error, answer) =>
          resolve(error === null ? answer.status : error.code),
        );
      });
    expect(await check("")).toBe(ServingStatus.SERVING);
    expect(await check("herald.v1.EntryService")).toBe(ServingStatus.SERVING);
    world.serve = false;
    expect(await check("")).toBe(ServingStatus.NOT_SERVING);
    expect(await check("herald.v1.Nothing")).toBe(status.NOT_FOUND);
  });

  test("a watcher is told each change once, and of a service that is none", async () => {
    const world = await serving();
    const client = new HealthClient(world.target, credentials.createInsecure());
    onTestFinished(() => client.close());
    const told: ServingStatus[] = [];
    const stream = client.watch({ service: "" });
    stream.on("data", ({ status: found }: { status: ServingStatus }) => told.push(found));
    stream.on("error", () => {});
    await expect.poll(() => told).toEqual([ServingStatus.SERVING]);
    await world.clock.advance(5000);
    world.serve = false;
    await world.clock.advance(5000);
    await expect.poll(() => told).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
    stream.cancel();
    const none = client.watch({ service: "nothing" });
    none.on("error", () => {});
    const first = await new Promise((resolve) => none.once("data", resolve));
    expect(first).toEqual({ status: ServingStatus.SERVICE_UNKNOWN });
    none.cancel();
  });
});

test.for(["v1", "v1alpha"])("grpc.reflection.%s lists the services", async (version) => {
  const world = await serving();
  const client = new Client(world.target, credentials.createInsecure());
  onTestFinished(() => client.close());
  const raw = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    raw,
    raw,
  );
  stream.on("error", () => {});
  // ServerReflectionRequest.list_services = 7, "".
  stream.write(Buffer.of(0x3a, 0x00));
  const answer = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
  for (const name of adminContracts().services) expect(answer.toString("latin1")).toContain(name);
  stream.end();
});
