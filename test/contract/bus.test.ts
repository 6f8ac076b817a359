import { MemoryBus } from "../support/memory-bus.ts";
import { TestNatsServer, testTrustDomain } from "../support/nats-server.ts";
import { busContract } from "./bus.ts";

busContract("in memory", async () => {
  const bus = new MemoryBus({ trustDomain: testTrustDomain });
  return {
    trustDomain: testTrustDomain,
    issuer: async () => bus.issuer(),
    node: async (node) => bus.node(node),
    close: async () => undefined,
  };
});

busContract("nats-server", async () => {
  const server = await TestNatsServer.start();
  return {
    trustDomain: testTrustDomain,
    issuer: () => server.issuer(),
    node: (node) => server.node(node),
    close: () => server.close(),
  };
});
