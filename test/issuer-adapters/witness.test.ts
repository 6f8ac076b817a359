import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { makeTlsIdentity } from "../../src/daemon/tls-endpoint.ts";
import { FileWitness, readWitnessFile } from "../../src/issuer/adapters/witness-file.ts";
import { WebhookWitness } from "../../src/issuer/adapters/witness-webhook.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { simulationDomain } from "../support/simulation-domain.ts";

const domain = await simulationDomain(Date.now());
const other = parseSpiffeId("spiffe://example.org/herald/issuer/two");

async function checkpoint(n: bigint, issuer = domain.issuer): Promise<Buffer> {
  const point = { td: domain.trustDomain, at: 1, issuer, n, digest: "ab".repeat(32) };
  return (await sealEnvelope("audit-checkpoint", point, domain.signer)).bytes;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "hwit-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe("a file", () => {
  test("only grows, and tells each issuer's newest", async () => {
    const path = join(folder(), "deep", "witness");
    const witness = new FileWitness(path);
    expect(await witness.last(domain.issuer)).toBeUndefined();
    const [first, foreign, second] = [
      await checkpoint(1n),
      await checkpoint(9n, other),
      await checkpoint(2n),
    ];
    for (const one of [first, second, foreign]) await witness.submit(one);
    expect(readFileSync(path, "utf8")).toBe(`${[first, second, foreign].join("\n")}\n`);
    expect(await witness.last(domain.issuer)).toEqual(second);
    expect(await witness.last(other)).toEqual(foreign);
  });

  test("a line that a crash tore is passed over and not continued", async () => {
    const path = join(folder(), "witness");
    const witness = new FileWitness(path);
    const [first, second] = [await checkpoint(1n), await checkpoint(2n)];
    await witness.submit(first);
    appendFileSync(path, second.subarray(0, 40));
    expect(await witness.last(domain.issuer)).toEqual(first);
    await witness.submit(second);
    expect(await witness.last(domain.issuer)).toEqual(second);
    const { checkpoints, foreign } = await readWitnessFile(path, domain.trust());
    expect([checkpoints.map(({ n }) => n), foreign]).toEqual([[1n, 2n], 1]);
  });
});

describe("a webhook", () => {
  /** An HTTPS endpoint that answers with these statuses in turn, the last for ever. */
  async function endpoint(statuses: readonly number[]) {
    const { certificatePem, keyPem } = await makeTlsIdentity("localhost");
    const seen: { method: string; url: string; token: string; body: string }[] = [];
    const server = createServer({ cert: certificatePem, key: keyPem }, (request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        seen.push({ method, url, token: headers.authorization ?? "", body });
        response.statusCode = statuses[Math.min(seen.length, statuses.length) - 1] ?? 200;
        response.end(method === "GET" ? "kept" : "");
      });
    });
    await new Promise<void>((done) => server.listen(0, "localhost", done));
    onTestFinished(() => void server.close());
    const dir = folder();
    const [caFile, tokenFile] = [join(dir, "ca.pem"), join(dir, "token")];
    writeFileSync(caFile, certificatePem);
    writeFileSync(tokenFile, "secret\n");
    const { port } = server.address() as AddressInfo;
    const at = { url: `https://localhost:${port}/keep`, caFile, tokenFile };
    const witness = (bend: Partial<typeof at> | { caFile: undefined } = {}) =>
      new WebhookWitness({ ...at, ...bend, clock: systemClock, random: new SeededRandom(1) });
    return { witness, seen };
  }

  test("is posted the checkpoint with the bearer token, and again after a failure", async () => {
    const { witness, seen } = await endpoint([503, 500, 201]);
    const bytes = await checkpoint(1n);
    await witness().submit(bytes);
    expect(seen).toEqual(
      Array.from({ length: 3 }, () => ({
        method: "POST",
        url: "/keep",
        token: "Bearer secret",
        body: bytes.toString("utf8"),
      })),
    );
  });

  test("that goes on failing is away", async () => {
    const { witness, seen } = await endpoint([500]);
    await expect(witness().submit(await checkpoint(1n))).rejects.toThrow(/answered 500/);
    expect(seen.length).toBe(3);
  });

  test("tells the newest of one issuer, or that there is none", async () => {
    const { witness, seen } = await endpoint([200, 404, 403]);
    expect(await witness().last(domain.issuer)).toEqual(Buffer.from("kept"));
    expect(seen[0]?.url).toBe(`/keep?issuer=${encodeURIComponent(domain.issuer)}`);
    expect(await witness().last(domain.issuer)).toBeUndefined();
    await expect(witness().last(domain.issuer)).rejects.toMatchObject({ code: "WITNESS_AWAY" });
  });

  test("TM-X-01: an endpoint that the configured CA does not vouch for is told nothing", async () => {
    const { witness, seen } = await endpoint([200]);
    await expect(witness({ caFile: undefined }).last(domain.issuer)).rejects.toThrow();
    expect(seen).toEqual([]);
  });
});
