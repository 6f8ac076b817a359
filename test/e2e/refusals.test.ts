import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { Fleet, type FleetNode } from "../../demo/fleet.ts";
import { readLog } from "../../demo/logs.ts";
import { makeTlsIdentity } from "../../src/daemon/tls-endpoint.ts";
import { closeFleet, fleetOfTest, fleetOptions, type Ran, runHerald } from "../support/fleet.ts";

/** What happened and what to do, told on standard error, and the exit code of a failure. */
function expectTold(
  { code, err }: Ran,
  told: { readonly happened: RegExp; readonly cure: RegExp },
): void {
  expect(err).toMatch(told.happened);
  expect(err).toMatch(told.cure);
  // No stack trace: it is told to a person.
  expect(err).not.toMatch(/^ +at /m);
  expect(code).toBe(1);
}

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
    const told = {
      happened: /another process serves .*\.sock/,
      cure: /stop it .* or choose another path/,
    };
    expectTold(await runHerald(["node", "--config", node.config]), told);
    expectTold(await runHerald(["issuer", "--config", fleet.issuerConfig]), told);
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

describe("a state folder that is broken", () => {
  let fleet: Fleet;
  let node: FleetNode;
  beforeAll(async () => {
    fleet = await Fleet.create(fleetOptions());
    await fleet.startNats();
    await fleet.startIssuer();
    node = await fleet.addNode("one");
    await fleet.startNode(node);
    await eventually("the node is well", () => fleet.isWell(node));
    await Promise.all([node.program.stop(), fleet.issuer.stop()]);
  });
  afterAll(() => closeFleet(fleet));

  interface Damage {
    readonly what: string;
    readonly file: string;
    /** What is written instead; nothing for a file that is missing. */
    readonly text?: string;
    readonly happened: RegExp;
    readonly cure: RegExp;
  }

  const ofIssuer: readonly Damage[] = [
    {
      what: "no control key",
      file: "keys/control.key",
      happened: /lacks keys\/control\.key/,
      cure: /herald init/,
    },
    { what: "no root", file: "root.pub", happened: /lacks root\.pub/, cure: /herald init/ },
    {
      what: "another sealing key",
      file: "keys/sealing.key",
      text: "x".repeat(32),
      happened: /keys\/control\.key.*sealed under another key/,
      cure: /backup/,
    },
    {
      what: "no sealing key",
      file: "keys/sealing.key",
      happened: /lacks keys\/sealing\.key/,
      cure: /backup/,
    },
    {
      what: "a damaged certificate",
      file: "control.cert",
      text: "junk",
      happened: /control\.cert/,
      cure: /backup/,
    },
    { what: "a damaged epoch", file: "epoch", text: "junk", happened: /epoch/, cure: /backup/ },
    {
      what: "a damaged journal",
      file: "journal",
      text: "junk\njunk\n",
      happened: /journal, line 1/,
      cure: /backup/,
    },
  ];

  test.for(ofIssuer)("of an issuer: $what", async (damage) => {
    const copy = join(fleet.folder, "damaged");
    cpSync(join(fleet.folder, "issuer"), copy, { recursive: true });
    onTestFinished(() => rmSync(copy, { recursive: true }));
    breakFile(join(copy, damage.file), damage.text);
    expectTold(await runHerald(["issuer", "--config", join(copy, "issuer.yaml")]), damage);
  });

  const ofNode: readonly Damage[] = [
    {
      what: "a damaged identity",
      file: "identity.json",
      text: "junk",
      happened: /identity\.json/,
      cure: /enrol/,
    },
  ];

  test.for(ofNode)("of a node: $what", async (damage) => {
    const copy = join(fleet.folder, "other");
    cpSync(node.folder, copy, { recursive: true });
    onTestFinished(() => rmSync(copy, { recursive: true }));
    breakFile(join(copy, "state", damage.file), damage.text);
    expectTold(await runHerald(["node", "--config", join(copy, "node.yaml")]), damage);
  });

  test("what can be had again does not keep a node from starting", async () => {
    for (const name of ["state", "consumers.json"])
      writeFileSync(join(node.folder, "state", name), "junk");
    mkdirSync(join(node.folder, "state", "svids"), { recursive: true });
    appendFileSync(join(node.folder, "state", "svids", "junk.json"), "junk");
    await fleet.startIssuer();
    await fleet.startNode(node);
    await eventually("the node is well", () => fleet.isWell(node));
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

function breakFile(path: string, text: string | undefined): void {
  if (text === undefined) rmSync(path);
  else writeFileSync(path, text);
}
