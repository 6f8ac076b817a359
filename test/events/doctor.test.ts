import { afterAll, beforeAll, expect, test } from "vitest";
import type { Finding } from "../../src/events/bus.ts";
import { TestNatsServer } from "../support/nats-server.ts";

let server: TestNatsServer;
beforeAll(async () => {
  server = await TestNatsServer.start();
});
afterAll(() => server.close());

const wrong = (findings: readonly Finding[]): readonly string[] =>
  findings.filter((finding) => finding.ok === false).map((finding) => finding.check);

test("before the streams are made the doctor names each, with a cure", async () => {
  const findings = await (await server.issuer()).doctor();
  expect(wrong(findings)).toContain("stream KV_HB_BUNDLE");
  expect(wrong(findings)).toContain("audit room");
  for (const finding of findings) if (finding.ok !== true) expect(finding.cure).toBeTruthy();
});

test("Herald's own configuration and streams leave nothing to cure", async () => {
  const issuer = await server.issuer();
  await issuer.ensure();
  const findings = await issuer.doctor();
  expect(wrong(findings)).toEqual([]);
  const unknown = findings.filter((finding) => finding.ok === "unknown");
  expect(unknown.map((finding) => finding.check)).toEqual(["sync_interval"]);
});

test("a stream that differs is reported by ensure and doctor, and left as it is", async () => {
  const smaller = await server.issuer({ streams: { eventsMaxBytes: 2 ** 20 } });
  const drift = [
    { stream: "HB_EVENTS", setting: "max_bytes", wanted: "1048576", found: "10737418240" },
  ];
  expect(await smaller.ensure()).toEqual(drift);
  expect(await smaller.ensure()).toEqual(drift);
  expect(wrong(await smaller.doctor())).toEqual(["stream HB_EVENTS"]);
});

test("streams of more replicas than there are servers are refused with what to do", async () => {
  const other = await TestNatsServer.start();
  const issuer = await other.issuer({ streams: { replicas: 3 } });
  await expect(issuer.ensure()).rejects.toMatchObject({ code: "BUS_MISCONFIGURED" });
  await other.close();
});

test("an audit that is full takes no more and says so; the doctor said so before (ND-T7)", async () => {
  const other = await TestNatsServer.start();
  const issuer = await other.issuer({ streams: { auditMaxBytes: 20_000 } });
  await issuer.ensure();
  for (let at = 0; at < 17; at += 1) await issuer.appendAudit("one", new Uint8Array(1_000));
  expect(wrong(await issuer.doctor())).toEqual(["audit room"]);
  const overfill = async (): Promise<void> => {
    for (let at = 0; at < 10; at += 1) await issuer.appendAudit("one", new Uint8Array(1_000));
  };
  await expect(overfill()).rejects.toMatchObject({ code: "BUS_FULL" });
  await other.close();
});

test("without a broker the doctor says just that", async () => {
  const other = await TestNatsServer.start();
  const issuer = await other.issuer();
  await other.down();
  while (issuer.connected()) await new Promise((resolve) => setImmediate(resolve));
  expect(wrong(await issuer.doctor())).toEqual(["connection"]);
  await other.close();
});
