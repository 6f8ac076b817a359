import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { Fleet, type FleetNode } from "../../demo/fleet.ts";
import { readLog } from "../../demo/logs.ts";
import { makeTlsIdentity } from "../../src/daemon/tls-endpoint.ts";
import { closeFleet, fleetOfTest, fleetOptions } from "../support/fleet.ts";
import { expectTold, type Ran, runHerald } from "../support/fleet-cli.ts";

describe("a node that may not join", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.create(fleetOptions());
    await fleet.startNats();
    await fleet.startIssuer();
    return () => closeFleet(fleet);
  });

  const joinStringOf = (node: FleetNode): string => readFileSync(join(node.folder, "join"), "utf8");
  const runNode = (node: FleetNode, join: string): Promise<Ran> =>
    runHerald(["node", "--config", node.config, "--join", join]);

  test("a join string that is none", async () => {
    const node = await fleet.addNode("malformed");
    expectTold(await runNode(node, "herald1.nonsense"), {
      happened: /join string is malformed/,
      cure: /herald node token/,
    });
  });

  test("a token that the issuer never made", async () => {
    const node = await fleet.addNode("unknown");
    const unknown = joinStringOf(node).replace(/^herald1\.[^.]+/, "herald1.aaaaaaaaaaaaaaaa");
    expectTold(await runNode(node, unknown), {
      happened: /TOKEN_UNKNOWN/,
      cure: /herald node token/,
    });
  });

  test("a token that another node has used", async () => {
    const first = await fleet.addNode("first");
    await fleet.startNode(first);
    await eventually("the first node is well", () => fleet.isWell(first));
    await first.program.stop();
    rmSync(join(first.folder, "state"), { recursive: true });
    expectTold(await runNode(first, joinStringOf(first)), {
      happened: /TOKEN_USED/,
      cure: /herald node token/,
    });
  });

  test("a token for a node of another name", async () => {
    const [one, other] = [await fleet.addNode("one"), await fleet.addNode("other")];
    expectTold(await runNode(one, joinStringOf(other)), {
      happened: /token is for node other, not one/,
      cure: /herald node token/,
    });
  });

  test("a token of another trust domain's issuer", async () => {
    const node = await fleet.addNode("astray");
    const astray = joinStringOf(node).replace(/[^.]+$/, "ab".repeat(32));
    const { code } = await runHerald(["node", "--config", node.config, "--join", astray], {
      withinMs: 4000,
    });
    expect(code).not.toBe(0);
    expect((await readLog(node.log)).some(({ msg }) => msg === "node is enrolled")).toBe(false);
  });

  test("no join string at all", async () => {
    const node = await fleet.addNode("bare");
    rmSync(join(node.folder, "join"));
    expectTold(await runHerald(["node", "--config", node.config]), {
      happened: /no identity in .*, and no join string/,
      cure: /herald node token --name bare/,
    });
  });
});

test("a token that has expired: eleven minutes later it is refused", async () => {
  const fleet = await fleetOfTest();
  await fleet.startNats();
  await fleet.startIssuer();
  const node = await fleet.addNode("late");
  await fleet.issuer.stop();
  const later = "const now = Date.now; Date.now = () => now() + 660_000;";
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(later)}` };
  const issuer = spawn(
    process.execPath,
    ["src/cli/main.ts", "issuer", "--config", fleet.issuerConfig],
    {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  onTestFinished(async () => {
    const gone = once(issuer, "exit");
    issuer.kill();
    await gone;
  });
  issuer.stderr.resume();
  expectTold(await runHerald(["node", "--config", node.config], { env }), {
    happened: /TOKEN_EXPIRED/,
    cure: /herald node token/,
  });
});

describe("a place that is taken", () => {
  test("the socket of a node that runs, and its issuer's state", async () => {
    const fleet = await fleetOfTest();
    await fleet.startNats();
    await fleet.startIssuer();
    const node = await fleet.addNode("one");
    await fleet.startNode(node);
    expectTold(await runHerald(["node", "--config", node.config]), {
      happened: /another process serves .*\.sock/,
      cure: /stop it .* or choose another path/,
    });
    expectTold(await runHerald(["issuer", "--config", fleet.issuerConfig]), {
      happened: /another issuer runs on .*issuer/,
      cure: /stop it, or give this one a folder of its own/,
    });
    expect(await fleet.isWell(node)).toBe(true);
  });

  test("a file stands where the socket should be, and stays", async () => {
    const fleet = await fleetOfTest();
    await fleet.startNats();
    await fleet.startIssuer();
    const node = await fleet.addNode("one");
    writeFileSync(node.socket, "precious");
    expectTold(await runHerald(["node", "--config", node.config]), {
      happened: /is there already and is not a socket/,
      cure: /remove it or choose another path/,
    });
    expect(readFileSync(node.socket, "utf8")).toBe("precious");
  });

  test("the port of the enrolment endpoint", async () => {
    const fleet = await fleetOfTest();
    await fleet.startNats();
    const [, port] =
      /listen: "127\.0\.0\.1:(\d+)"/.exec(readFileSync(fleet.issuerConfig, "utf8")) ?? [];
    const taker = createServer().listen(Number(port), "127.0.0.1");
    await once(taker, "listening");
    onTestFinished(() => void taker.close());
    expectTold(await runHerald(["issuer", "--config", fleet.issuerConfig]), {
      happened: new RegExp(`another process serves 127\\.0\\.0\\.1:${port}`),
      cure: /choose another port/,
    });
  });
});

describe("a broker that is not to be had", () => {
  test("NATS does not run: the issuer says so and ends", async () => {
    const fleet = await fleetOfTest();
    expectTold(await runHerald(["issuer", "--config", fleet.issuerConfig]), {
      happened: /cannot reach 127\.0\.0\.1:\d+/,
      cure: /see that the broker runs there/,
    });
  });

  test("another key than the pinned one: nothing is sent, by issuer and node alike", async () => {
    const fleet = await fleetOfTest();
    await fleet.startNats();
    await fleet.startIssuer();
    const node = await fleet.addNode("one");
    await fleet.startNode(node);
    await eventually("the node is well", () => fleet.isWell(node));
    await Promise.all([fleet.nats.stop(), fleet.issuer.stop()]);
    const stranger = await makeTlsIdentity("127.0.0.1");
    writeFileSync(join(fleet.folder, "issuer", "nats", "tls.crt"), stranger.certificatePem);
    writeFileSync(join(fleet.folder, "issuer", "nats", "tls.key"), stranger.keyPem);
    await fleet.startNats();

    expectTold(await runHerald(["issuer", "--config", fleet.issuerConfig]), {
      happened: /has the key [0-9a-f]{64}, which is none of the 1 pinned, so nothing was sent/,
      cure: /somebody stands in between/,
    });
    await eventually("the node refuses the stranger", async () =>
      (await readLog(node.log)).some(({ reason }) => /none of the 1 pinned/.test(reason ?? "")),
    );
    expect(readFileSync(fleet.logOf("nats-server"), "utf8")).not.toMatch(/nkey:.*one/);
  });
});

test("a configuration that is wrong: key and line, exit code 2", async () => {
  const fleet = await fleetOfTest();
  appendFileSync(fleet.issuerConfig, "headInterval: soon\n");
  const lines = readFileSync(fleet.issuerConfig, "utf8").trimEnd().split("\n").length;
  const { code, err } = await runHerald(["issuer", "--config", fleet.issuerConfig]);
  expect(err).toContain(`issuer.yaml:${lines}: headInterval: "soon" will not do`);
  expect(code).toBe(2);
});
