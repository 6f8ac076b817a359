import { describe, expect, test } from "vitest";
import { makeNkeys } from "../../src/events/adapters/nkeys.ts";
import {
  type NatsServerOptions,
  natsServerConfig,
} from "../../src/events/adapters/server-config.ts";

const issuer = makeNkeys();
const node = makeNkeys();
const options: NatsServerOptions = {
  host: "127.0.0.1",
  port: 4222,
  storeDir: "/var/lib/herald/nats",
  serverName: "one",
  tlsCertFile: "/etc/herald/nats.pem",
  tlsKeyFile: "/etc/herald/nats.key",
  issuerPublicNkey: issuer.publicKey,
  nodePublicNkey: node.publicKey,
};

// That a server accepts and obeys it is what permissions.test.ts and the contract show.
describe("nats-server.conf", () => {
  test.for([
    "sync_interval: always",
    "handshake_first: true",
    'min_version: "1.3"',
    'listen: "127.0.0.1:4222"',
    'store_dir: "/var/lib/herald/nats"',
    "max_payload: 1048576",
  ])("says %s", (line) => {
    expect(natsServerConfig(options)).toContain(line);
  });

  test("monitoring is off unless asked for, and then local", () => {
    expect(natsServerConfig(options)).not.toMatch(/http/);
    expect(natsServerConfig({ ...options, monitorPort: 8222 })).toContain('http: "127.0.0.1:8222"');
  });

  test("an IPv6 address is written in brackets", () => {
    expect(natsServerConfig({ ...options, host: "::1" })).toContain('listen: "[::1]:4222"');
  });

  test("quotes and backslashes in paths stay in their strings", () => {
    const config = natsServerConfig({ ...options, storeDir: 'a"b\\c' });
    expect(config).toContain('store_dir: "a\\"b\\\\c"');
  });

  test.for<readonly [string, Partial<NatsServerOptions>]>([
    ["a seed instead of a public key", { nodePublicNkey: node.seed }],
    ["a key of another kind", { issuerPublicNkey: `A${issuer.publicKey.slice(1)}` }],
    ["a line break in a path", { storeDir: "/x\nauthorization {}" }],
    ["a port that is none", { port: Number.NaN }],
  ])("refuses %s", ([, bad]) => {
    expect(() => natsServerConfig({ ...options, ...bad })).toThrow(
      expect.objectContaining({ code: "BUS_MISCONFIGURED" }),
    );
  });

  test("no error shows a seed", () => {
    const bad = { ...options, nodePublicNkey: node.seed };
    expect(() => natsServerConfig(bad)).not.toThrow(new RegExp(node.seed));
  });
});
