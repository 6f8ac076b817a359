import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { X509Svid } from "../../../src/core/svid/workload-view.ts";
import { certificatesToPem, toPem } from "../../../src/core/x509/pem.ts";
import { envoyPath } from "../../support/parts.ts";
import { herald, temporaryFolder } from "./run.ts";

/** An Envoy started from a generated bootstrap, whose secrets come from files in place of Herald. */
export interface GuardedEnvoy {
  /** Of its log, the line that the test waited for. */
  readonly line: string;
  /** What a caller with this SVID gets: an HTTP status, or undefined when its handshake is refused. */
  call(svid: X509Svid): Promise<number | undefined>;
  /** The addresses on which it accepts connections. */
  listeners(): Promise<readonly string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** PEM of what node:tls and Envoy take. */
export function pemOf(svid: X509Svid): { readonly cert: string; readonly key: string } {
  return { cert: certificatesToPem(svid.chain), key: toPem("PRIVATE KEY", svid.privateKey) };
}

/** Starts one with `herald envoy bootstrap ARGV`; resolves when its log has a line that fits `until`. */
export async function startGuardedEnvoy(options: {
  readonly argv: readonly string[];
  /** By SDS name, without the name. */
  readonly secrets: Readonly<Record<string, unknown>>;
  readonly until: RegExp;
}): Promise<GuardedEnvoy> {
  const folder = temporaryFolder();
  const line = ["envoy", "bootstrap", "--json", "--admin", "127.0.0.1:0", ...options.argv];
  const { out } = await herald(line);
  const config = withFiles(JSON.parse(out), (name) => {
    const path = join(folder.path, `${name.replaceAll(/\W/g, "_")}.json`);
    const secret = {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
      name,
      ...(options.secrets[name] as object),
    };
    writeFileSync(path, JSON.stringify({ resources: [secret] }));
    return path;
  });
  const adminFile = join(folder.path, "admin");
  const files = ["--admin-address-path", adminFile, "--use-dynamic-base-id"];
  const child = spawn(envoyPath(), ["--config-yaml", JSON.stringify(config), ...files], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const found = await lineOf(child, options.until);
  const admin = `http://${readFileSync(adminFile, "utf8").trim()}`;
  const listeners = async (): Promise<readonly string[]> => {
    const text = await (await fetch(`${admin}/listeners`)).text();
    return text.split("\n").flatMap((one) => /^inbound::(.*)$/.exec(one)?.[1] ?? []);
  };
  return {
    line: found,
    listeners,
    call: async (svid) => await statusOf((await listeners())[0] ?? "", svid),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "close");
      folder[Symbol.dispose]();
    },
  };
}

/** The same configuration with every sds_config pointing to a file. */
function withFiles(value: unknown, pathOf: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one: unknown) => withFiles(one, pathOf));
  if (typeof value !== "object" || value === null) return value;
  if ("sds_config" in value && "name" in value) {
    const sds_config = {
      resource_api_version: "V3",
      initial_fetch_timeout: "0s",
      path_config_source: { path: pathOf(String(value.name)) },
    };
    return { ...value, sds_config };
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withFiles(member, pathOf)]),
  );
}

async function lineOf(child: ChildProcess, wanted: RegExp): Promise<string> {
  const seen: string[] = [];
  if (child.stderr === null) throw new Error("no stderr");
  const lines = createInterface({ input: child.stderr });
  return await new Promise((done, fail) => {
    lines.on("line", (line) => {
      seen.push(line);
      if (wanted.test(line)) done(line);
    });
    lines.once("close", () => fail(new Error(`Envoy ended:\n${seen.join("\n")}`)));
  });
}

async function statusOf(address: string, svid: X509Svid): Promise<number | undefined> {
  const port = Number(address.split(":").at(-1));
  // The server's own identity is not what these tests look at.
  const call = request({
    host: "127.0.0.1",
    port,
    ...pemOf(svid),
    rejectUnauthorized: false,
    agent: false,
  });
  return await new Promise((done) => {
    call.once("response", (response) => {
      response.resume();
      done(response.statusCode);
    });
    call.once("error", () => done(undefined));
    call.end();
  });
}
