import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { herald, heraldProcess, silentSurroundings } from "./support/run.ts";

const program = buildProgram({ surroundings: silentSurroundings, finish: () => {} });

/** Everything that does something, with its path. */
function verbsOf(command: Command, path: readonly string[] = []): readonly string[][] {
  return command.commands.flatMap((child) => {
    const here = [...path, child.name()];
    const does = child.options.some((option) => option.long === "--json");
    return [...(does ? [here] : []), ...verbsOf(child, here)];
  });
}

describe("every verb", () => {
  const verbs = verbsOf(program);

  test("is one of those that the design names", () => {
    expect(verbs.map((verb) => verb.join(" ")).toSorted()).toEqual([
      "audit export",
      "audit node",
      "audit show",
      "audit tail",
      "audit verify",
      "ca activate",
      "ca list",
      "ca prepare",
      "ca prune",
      "ca revoke",
      "ca rotate",
      "ca taint",
      "config check",
      "dev",
      "doctor",
      "entry apply",
      "entry create",
      "entry delete",
      "entry import",
      "entry list",
      "entry show",
      "entry update",
      "envoy bootstrap",
      "events tail",
      "fetch x509",
      "init",
      "issuer",
      "node",
      "node ban",
      "node evict",
      "node label",
      "node list",
      "node show",
      "node token",
      "svid list",
      "svid mint",
      "svid revoke",
      "svid show",
      "version",
    ]);
  });

  test.for(verbs)("%s %s has --json, and help with an example of itself", async (...[verb]) => {
    const ran = await herald([...verb, "--help"]);
    expect(ran.code).toBe(0);
    expect(ran.err).toBe("");
    expect(ran.out).toContain("--json");
    expect(ran.out).toContain(`$ herald ${verb.join(" ")}`);
  });
});

describe("a wrong command line ends with 2 and says what to do", () => {
  test.for([
    ["", "no verb was given", "herald --help"],
    ["entyr", "unknown command 'entyr' (Did you mean entry?)", "herald --help"],
    ["entry", "herald entry needs to be told what to do", "herald entry --help"],
    ["entry crate", "unknown command 'crate' (Did you mean create?)", "herald entry --help"],
    ["node token", "required option '--name <name>' not specified", "herald node token --help"],
    ["node", "required option '--config <file>' not specified", "herald node --help"],
    [
      "ca list extra",
      "too many arguments for 'list'. Expected 0 arguments but got 1: extra.",
      "herald ca list --help",
    ],
    ["ca list --jsn", "unknown option '--jsn' (Did you mean --json?)", "herald ca list --help"],
    [
      "entry create --spiffe-id web --selector unix:uid:1",
      "option '--spiffe-id <id>' argument 'web' is invalid. SPIFFE ID: does not start with \"spiffe://\" in lower case; write it so",
      "herald entry create --help",
    ],
    [
      "entry create --spiffe-id spiffe://a/b --selector uid",
      "option '--selector <type:value>' argument 'uid' is invalid. selector: does not start with a type of a-z 0-9 _ and a colon; write, for instance, unix:uid:1000",
      "herald entry create --help",
    ],
    [
      "entry create --spiffe-id spiffe://a/b --selector unix:uid:1 --ttl 0",
      "option '--ttl <time>' argument '0' is invalid. Write whole seconds, or a duration such as 90s, 10m or 24h.",
      "herald entry create --help",
    ],
    [
      "entry create --spiffe-id spiffe://a/b --selector unix:uid:1 --node spiffe://a/n --node-label r=1",
      "--node and --node-label exclude each other",
      "select nodes by their IDs or by their labels; for both create two entries",
    ],
    [
      "node token --name n --label k=1 --label k=2",
      "option '--label <name=value>' argument 'k=2' is invalid. \"k\" was given already.",
      "herald node token --help",
    ],
    [
      "entry list --admin tcp://h:1",
      '"tcp://h:1" is not the address of a Unix socket (from --admin)',
      "write unix:///absolute/path or tls://host:port",
    ],
    [
      "fetch x509 --socket h:1",
      '"h:1" is not the address of a Unix socket',
      "write unix:///absolute/path",
    ],
    [
      "envoy bootstrap --trust-domain a",
      "a sidecar without any listener does nothing",
      "give --listen with --upstream-app, --egress with --to, or both",
    ],
    [
      "envoy bootstrap --listen h:1 --upstream-app h:2",
      "the trust domain is not known",
      "give --trust-domain, or --spiffe-id with it",
    ],
    [
      "envoy bootstrap --trust-domain a --listen h:1",
      "--listen and --upstream-app need each other",
      "give both, or neither",
    ],
    [
      "envoy bootstrap --trust-domain a --listen h:1 --upstream-app h:2 --inbound-context peers:x --allow-caller spiffe://a/b",
      "--allow-caller would let in more than the policy peers:x does",
      "leave out --allow-caller, or use ROOTCA",
    ],
  ])("herald %s", async ([line = "", message, cure]) => {
    const ran = await herald(line.split(" ").filter((word) => word !== ""));
    expect(ran).toEqual({ code: 2, out: "", err: `herald: ${message}\n  try: ${cure}\n` });
  });

  test("with --json the error is one line of JSON", async () => {
    const ran = await herald(["node", "token", "--json"]);
    expect(ran.code).toBe(2);
    expect(JSON.parse(ran.err)).toEqual({
      error: {
        code: "USAGE",
        message: "required option '--name <name>' not specified",
        cure: "herald node token --help",
      },
    });
  });
});

describe("bin/herald", () => {
  test("prints help and ends with 0", async () => {
    const ran = await heraldProcess(["--help"]);
    expect(ran.code).toBe(0);
    expect(ran.err).toBe("");
    expect(ran.out).toContain("Usage: herald");
  });

  test("tells its version and Node's", async () => {
    const ran = await heraldProcess(["version", "--json"]);
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.out)).toEqual({
      herald: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      node: expect.stringMatching(/^2\d\./) as string,
    });
  });

  test("ends with 2 for a wrong command line and for a wrong configuration", async () => {
    const [wrong, missing] = await Promise.all([
      heraldProcess(["bogus"]),
      heraldProcess(["issuer", "--config", "/nonexistent/issuer.yaml"]),
    ]);
    expect(wrong).toEqual({
      code: 2,
      out: "",
      err: "herald: unknown command 'bogus'\n  try: herald --help\n",
    });
    expect(missing.code).toBe(2);
    expect(missing.err).toMatch(
      /^herald: \/nonexistent\/issuer\.yaml cannot be read \(ENOENT[^\n]*\)\n {2}try: give the path of a configuration file\n$/,
    );
  });
});
