import { expect, test } from "vitest";
import { loadIssuerConfig } from "../../src/daemon/config.ts";
import { listenForEnrolment } from "../../src/daemon/enrolment-endpoint.ts";
import { EnrolmentGate, networkOf } from "../../src/daemon/enrolment-limits.ts";
import { TurnedAway } from "../../src/issuer/door/entrance.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { postHttps } from "../../src/rpc/http-client.ts";
import { HeldClock } from "../support/held-clock.ts";
import { issuerFile } from "./support/issuer-file.ts";

const limits = {
  address: { perSecond: 1, burst: 3 },
  all: { perSecond: 10, burst: 20 },
};

test("TM-N-06: one address gets its burst and no more, another one is let in", () => {
  const gate = new EnrolmentGate(limits, new HeldClock(0));
  const told = Array.from({ length: 5 }, () => gate.retryAfterSeconds("enrol", "192.0.2.1"));
  expect(told).toEqual([0, 0, 0, 1, 1]);
  expect(gate.retryAfterSeconds("enrol", "192.0.2.2")).toBe(0);
});

test("TM-N-06: a provider's customer with an IPv6 network has one share, however many addresses", () => {
  const gate = new EnrolmentGate(limits, new HeldClock(0));
  const told = Array.from({ length: 10 }, (_, n) =>
    gate.retryAfterSeconds("enrol", `2001:db8:1:2::${n}`),
  );
  expect(told.filter((seconds) => seconds === 0)).toHaveLength(3);
});

test("TM-N-06: many addresses are held by the limit for all, and take nothing from those who renew", () => {
  const gate = new EnrolmentGate(limits, new HeldClock(0));
  const told = Array.from({ length: 10_000 }, (_, n) =>
    gate.retryAfterSeconds("enrol", `10.0.${n >> 8}.${n & 255}`),
  );
  expect(told.filter((seconds) => seconds === 0)).toHaveLength(20);
  expect(gate.retryAfterSeconds("renew", "192.0.2.9")).toBe(0);
});

test.for([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::6", "2001:db8:1:2::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["", ""],
] as const)("the network of %s is %s", ([address, network]) => {
  expect(networkOf(address)).toBe(network);
});

test("TM-N-06: the endpoint answers 429 with Retry-After, and hands on nothing", async () => {
  const config = loadIssuerConfig(
    issuerFile("admission: { enrolmentsFromAddress: 1, enrolments: 100 }\n"),
  );
  const endpoint = await listenForEnrolment(config, silentLog);
  let handed = 0;
  endpoint.serve({
    enrol: () => {
      handed += 1;
      return Promise.resolve(Buffer.from("{}"));
    },
    renew: () => Promise.reject(new TurnedAway("TURNED_AWAY", "the queue is full")),
  });
  const post = async (path: string): Promise<number> =>
    (
      await postHttps({
        url: `${endpoint.url}${path}`,
        body: "{}",
        timeoutMs: 5000,
        clock: systemClock,
      })
    ).status;
  try {
    expect(await post("/v1/renew")).toBe(429);
    const statuses: number[] = [];
    // Its bucket holds ten; what a second gives back while this runs cannot be much.
    for (let n = 0; n < 60; n += 1) statuses.push(await post("/v1/enrol"));
    const turnedAway = statuses.filter((status) => status === 429).length;
    expect(turnedAway).toBeGreaterThan(0);
    expect(handed).toBe(60 - turnedAway);
  } finally {
    await endpoint.close();
  }
});
