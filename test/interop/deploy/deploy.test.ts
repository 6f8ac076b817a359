import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { GenericContainer, Wait } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { onPath } from "../../../tools/parts.mjs";
import { envoyPath, envoySkipped, natsServerPath } from "../../support/parts.ts";
import { buildBaseImage } from "./base-image.ts";

const units = readdirSync("deploy/systemd").filter((name) => name.endsWith(".service"));
const herald = resolve("bin/herald");

const analyze = onPath("systemd-analyze");
const docker = onPath("docker");
const dockerAnswers =
  docker !== undefined &&
  spawnSync(docker, ["info", "--format", "{{.ServerVersion}}"]).status === 0;
const systemdRuns = existsSync("/run/systemd/system") && process.getuid?.() === 0;

test("each daemon has a unit", () => {
  expect(units.toSorted()).toEqual([
    "herald-issuer.service",
    "herald-nats.service",
    "herald-node.service",
  ]);
});

test("the node's unit lets it see who its callers are", () => {
  const unit = readFileSync("deploy/systemd/herald-node.service", "utf8");
  // Either would take from the daemon what it tells workloads apart by: other processes, and users by number.
  expect(unit).not.toMatch(/^(?:ProtectProc|ProcSubset|PrivateUsers)=/m);
  // Without it a restart loses the key of the sealed cache.
  expect(unit).toMatch(/^RuntimeDirectoryPreserve=yes$/m);
});

describe.skipIf(analyze === undefined)("units (needs systemd-analyze)", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "herald-units-"));
    for (const unit of units) {
      const text = readFileSync(join("deploy/systemd", unit), "utf8")
        .replaceAll("/usr/bin/herald", herald)
        .replaceAll("/usr/bin/nats-server", natsServerPath());
      writeFileSync(join(dir, unit), text);
    }
  });
  afterAll(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  const run = (...args: string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync(analyze ?? "", args, { encoding: "utf8" });
    return { status, output: stdout + stderr };
  };

  test.for(units)("%s is valid to systemd, without a warning", (unit) => {
    expect(run("verify", "--man=no", join(dir, unit))).toEqual({ status: 0, output: "" });
  });

  // Of 10.0; a unit without any hardening scores 9.6.
  test.for(units)("%s exposes at most 2.0", (unit) => {
    const { status, output } = run(
      "security",
      "--offline=true",
      "--threshold=20",
      "--no-pager",
      join(dir, unit),
    );
    expect(status, output).toBe(0);
  });
});

describe.skipIf(!systemdRuns)("units start (where systemd runs, as root)", () => {
  test("Node starts within the node unit's sandbox", () => {
    const sandbox = readFileSync("deploy/systemd/herald-node.service", "utf8")
      .split("\n")
      .filter((line) =>
        /^(?!Exec|User|Group|Restart|Protect(?:Home)|State|Runtime|Configuration|Documentation)\w+=/.test(
          line,
        ),
      )
      .filter((line) => !/^(?:Description|After|Wants|StartLimit\w+|WantedBy)=/.test(line))
      .flatMap((line) => ["-p", line]);
    const args = [
      "--wait",
      "--pipe",
      "--collect",
      "--quiet",
      "-p",
      "DynamicUser=yes",
      "-p",
      "ProtectHome=read-only",
    ];
    const { status, stderr } = spawnSync(
      "systemd-run",
      [...args, ...sandbox, herald, "node", "--help"],
      { encoding: "utf8" },
    );
    expect(status, stderr).toBe(0);
  });
});

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly volumes?: readonly string[];
        readonly depends_on?: Readonly<Record<string, unknown>>;
        readonly pid?: string;
      }
    >
  >;
  readonly volumes: Readonly<Record<string, unknown>>;
}

describe("compose.yaml", () => {
  const compose = parse(readFileSync("deploy/compose.yaml", "utf8"), { merge: true }) as Compose;

  test("names only volumes, files and services that exist", () => {
    for (const [name, service] of Object.entries(compose.services)) {
      for (const volume of service.volumes ?? []) {
        const source = volume.split(":")[0] ?? "";
        const there = source.startsWith("./")
          ? existsSync(join("deploy", source))
          : source in compose.volumes;
        expect(there, `${name}: ${source}`).toBe(true);
      }
      for (const other of Object.keys(service.depends_on ?? {}))
        expect(compose.services).toHaveProperty(other);
    }
  });

  test("the nodes see their host's processes", () => {
    expect(compose.services["node-a"]?.pid).toBe("host");
    expect(compose.services["node-b"]?.pid).toBe("host");
  });
});

test.skipIf(envoySkipped()).for(["client", "server"])(
  "Envoy takes the configuration of the %s",
  (name) => {
    const args = ["--mode", "validate", "--config-path", `deploy/compose/envoy-${name}.yaml`];
    const { status, stderr } = spawnSync(envoyPath(), args, { encoding: "utf8" });
    expect(status, stderr).toBe(0);
  },
);

test.for([
  "systemd/issuer.yaml",
  "systemd/node.yaml",
  "compose/node-a.yaml",
  "compose/node-b.yaml",
])("herald takes %s", (name) => {
  const args = ["config", "check", join("deploy", name)];
  const { status, stdout, stderr } = spawnSync(herald, args, { encoding: "utf8" });
  expect(status, stdout + stderr).toBe(0);
});

describe.skipIf(!dockerAnswers)("image (where a Docker engine answers)", () => {
  const base = "herald-test-base:local";
  const image = "herald-test:local";

  beforeAll(() => {
    // Its helper image would have to be pulled; the containers are removed here instead.
    process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
    // No port is published, so the engine needs no bridge network; without this it is asked for one.
    process.env["TESTCONTAINERS_HOST_OVERRIDE"] ??= "localhost";
    buildBaseImage(docker ?? "", base);
    const args = [
      "build",
      "--network",
      "host",
      "--file",
      "deploy/Dockerfile",
      "--build-arg",
      `BASE=${base}`,
      "--tag",
      image,
      ".",
    ];
    execFileSync(docker ?? "", args, { stdio: "pipe", maxBuffer: 1 << 26 });
  }, 600_000);

  afterAll(() => {
    spawnSync(docker ?? "", ["image", "rm", image, base]);
  });

  test("runs without root", () => {
    const run = (...args: string[]): string =>
      execFileSync(docker ?? "", ["run", "--rm", "--network", "none", ...args], {
        encoding: "utf8",
      });
    expect(run("--entrypoint", "node", image, "-p", "process.getuid()").trim()).toBe("65532");
    expect(run(image, "--version")).toMatch(/\d+\.\d+\.\d+/);
  });

  test("the issuer and the node daemon start in it", async () => {
    const parts = mkdtempSync(join(tmpdir(), "herald-image-"));
    cpSync(natsServerPath(), join(parts, "nats-server"), { dereference: true });
    try {
      await using container = await new GenericContainer(image)
        .withNetworkMode("none")
        .withTmpFs({ "/tmp": "rw,mode=1777" })
        .withBindMounts([
          { source: join(parts, "nats-server"), target: "/usr/bin/nats-server", mode: "ro" },
        ])
        .withCommand(["dev", "--dir", "/tmp/herald", "--json"])
        .withWaitStrategy(Wait.forLogMessage(/"ready":true/))
        .withStartupTimeout(60_000)
        .start();
      const { exitCode, output } = await container.exec(["herald", "node", "list", "--help"]);
      expect(exitCode, output).toBe(0);
    } finally {
      rmSync(parts, { recursive: true, force: true });
    }
  });
});
