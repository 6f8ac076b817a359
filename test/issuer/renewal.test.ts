import { describe, expect, test } from "vitest";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import type { KeyPair } from "../../src/core/x509/key-pair.ts";
import { type Asker, csrOf, verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { openOffice } from "./support/office.ts";

const dayMs = 24 * 3_600_000;

async function renew(node: Asker, next: KeyPair = keyPair()): Promise<string> {
  const request = await node.request("renew-request", { csr: await csrOf(next) });
  const answer = await node.send("renew-request", request);
  if (answer.kind === "renew-reply") {
    const [leaf = ""] = answer.payload.chain;
    const { spki } = parseCertificate(Buffer.from(leaf, "base64"));
    expect(Buffer.from(spki)).toEqual(Buffer.from(next.spki));
  }
  return verdictOf(answer);
}

async function ping(node: Asker): Promise<string> {
  return verdictOf(await node.send("ack", await node.ackRequest({})));
}

describe("renewing a node's key", () => {
  test("ENR-04: the old key works until the first use of the next one, which retires it and is alarmed", async () => {
    const { host, node: enrolled } = await openOffice();
    const node = await enrolled("east");
    const [old, next] = [node.key, keyPair()];
    expect(await renew(node, next)).toBe("renew-reply");
    expect(await ping(node)).toBe("ack-reply");
    node.key = next;
    expect(await ping(node)).toBe("ack-reply");
    node.key = old;
    expect(await ping(node)).toBe("KEY_RETIRED");
    expect(host.counted("herald_issuer_requests_refused_total{KEY_RETIRED}")).toBe(1);
    expect(host.log.alarms).toContain("retired-key");
  });

  test("ENR-04: a retired key stays retired over a restart", async () => {
    const { host, node: enrolled } = await openOffice();
    const node = await enrolled("east");
    const [old, next] = [node.key, keyPair()];
    await renew(node, next);
    node.key = next;
    await ping(node);
    await host.restart();
    node.key = old;
    expect(await ping(node)).toBe("KEY_RETIRED");
    expect(await renew(node)).toBe("KEY_RETIRED");
    node.key = next;
    expect(await ping(node)).toBe("ack-reply");
  });

  test("ENR-04: a renewal brings no key that was retired", async () => {
    const { node: enrolled } = await openOffice();
    const node = await enrolled("east");
    const [old, next] = [node.key, keyPair()];
    await renew(node, next);
    node.key = next;
    expect(await renew(node, old)).toBe("KEY_RETIRED");
  });

  test("ENR-04: a node whose answer was lost asks again with the same new key, or with another", async () => {
    const { host, node: enrolled } = await openOffice();
    const node = await enrolled("east");
    const [lost, kept] = [keyPair(), keyPair()];
    expect(await renew(node, lost)).toBe("renew-reply");
    expect(await renew(node, lost)).toBe("renew-reply");
    expect(await renew(node, kept)).toBe("renew-reply");
    node.key = lost;
    await expect(ping(node)).rejects.toMatchObject({ code: "ENVELOPE_SIGNATURE" });
    node.key = kept;
    expect(await ping(node)).toBe("ack-reply");
    expect(host.issuer.nodes.list()[0]?.next).toBeNull();
  });

  test("ENR-03: after an outage it renews by HTTPS with its recorded key, for 30 days", async () => {
    const { host, clock, node: enrolled } = await openOffice();
    const node = await enrolled("east");
    const byHttps = async (): Promise<string> => {
      const bytes = await node.request("renew-request", { csr: await csrOf(keyPair()) });
      return verdictOf(node.open(await host.issuer.reception.renewByHttps(bytes)));
    };
    host.kill();
    await clock.advance(20 * dayMs);
    await host.start();
    expect(await byHttps()).toBe("renew-reply");
    host.kill();
    await clock.advance(32 * dayMs);
    await host.start();
    expect(await byHttps()).toBe("RENEWAL_TOO_LATE");
  });

  test("ENR-03: HTTPS renews nobody without a recorded key", async () => {
    const { host, node: enrolled, stranger } = await openOffice();
    await enrolled("east");
    const nobody = stranger("east");
    const bytes = await nobody.request("renew-request", { csr: await csrOf(keyPair()) });
    expect(verdictOf(nobody.open(await host.issuer.reception.renewByHttps(bytes)))).toBe(
      "NODE_UNKNOWN",
    );
  });

  test("INV-9: every renewal is on the audit chain, with its serial", async () => {
    const { host, node: enrolled } = await openOffice();
    const node = await enrolled("east");
    await renew(node);
    const kinds = host.audit.records.map(({ payload }) => payload.action.kind);
    expect(kinds.filter((kind) => kind.startsWith("node-"))).toEqual([
      "node-enrolled",
      "node-renewed",
    ]);
  });
});
