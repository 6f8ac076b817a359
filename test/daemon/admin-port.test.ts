import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { parsePem } from "../../src/core/x509/pem.ts";
import { EntrySpec } from "../../src/wire/herald/v1/entries.ts";
import {
  hour,
  idOf,
  makeAuthority,
  makeBundle,
  makeKey,
  noon,
  type SvidBend,
} from "../support/ca-world.ts";
import { AdminPort, type Pair } from "./support/admin-port.ts";

function serialOf({ cert }: Pair): string {
  const [leaf = new Uint8Array()] = parsePem("CERTIFICATE", cert);
  return parseCertificate(leaf).serial;
}

describe("admin over mutual TLS", () => {
  test("an administrator's SVID may give orders, which are recorded with its id and serial", async () => {
    const port = await AdminPort.open();
    const shown = port.svid();
    const client = port.client(shown);
    expect(await client.list()).toBe("ok");
    await new Promise<void>((resolve, reject) => {
      client.entries.createEntry(
        {
          entry: {
            ...EntrySpec.decode(new Uint8Array()),
            spiffeId: "spiffe://example.org/web",
            selectors: ["unix:uid:1"],
          },
          allow: [],
        },
        (error) => (error === null ? resolve() : reject(error)),
      );
    });
    expect(port.office.host.audit.records.at(-1)?.payload.action).toMatchObject({
      kind: "admin",
      verb: "entry create",
      by: { kind: "svid", id: "spiffe://example.org/ops", serial: serialOf(shown) },
    });
  });

  test("TM-N-01: an SVID of another entry with the same SPIFFE ID gives no orders", async () => {
    const port = await AdminPort.open();
    const shown = port.svid();
    port.issuedFor.set(serialOf(shown), "ops");
    expect(await port.client(shown).list()).toBe("ok");
    port.issuedFor.set(serialOf(shown), "template");
    expect(await port.client(shown).list()).toBe(status.PERMISSION_DENIED);
  });

  test("its chain may go over an intermediate", async () => {
    const port = await AdminPort.open();
    const intermediate = makeAuthority({ parent: port.authority });
    const shown = port.svid({}, [port.authority, intermediate]);
    expect(await port.client(shown).list()).toBe("ok");
  });

  test("TM-X-01: another CA below the operator's root makes nobody an administrator", async () => {
    const port = await AdminPort.open();
    const stranger = makeAuthority({ parent: port.authority });
    port.strangers.add(Buffer.from(stranger.der).toString("hex"));
    const shown = port.svid({}, [port.authority, stranger]);
    expect(await port.client(shown).list()).toBe(status.PERMISSION_DENIED);
  });

  test("the server shows the issuer's own SVID, which is on the audit chain", async () => {
    const port = await AdminPort.open();
    const socket = await port.handshake(port.svid());
    const leaf = parseCertificate(socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0));
    expect(leaf.uris).toEqual([port.office.domain.issuer]);
    expect(port.office.domain.issuer).toMatch(/^spiffe:\/\/example.org\/herald\/issuer\//);
    const certified = port.office.host.audit.records.filter(
      ({ payload }) => payload.action.kind === "issuer-certified",
    );
    expect(certified.map(({ payload }) => payload.action)).toMatchObject([
      { issuer: port.office.domain.issuer, serial: leaf.serial },
    ]);
  });

  test("the server's SVID is renewed at half its life, and when another authority signs", async () => {
    const port = await AdminPort.open();
    const serial = async (): Promise<string> =>
      (await port.handshake(port.svid())).getPeerX509Certificate()?.serialNumber ?? "";
    const first = await serial();
    await port.office.clock.advance(0.4 * hour);
    expect(await serial()).toBe(first);
    await port.office.clock.advance(0.2 * hour);
    const second = await serial();
    expect(second).not.toBe(first);
    await port.office.host.issuer.rotate({ kind: "unix", uid: 0, pid: 1 });
    await port.office.clock.until(
      () => port.office.host.issuer.authorities.list().some((one) => one.status === "old"),
      { limitMs: hour },
    );
    await port.office.clock.advance(3000);
    expect(await serial()).not.toBe(second);
  });
});

describe("TM-X-01: who is let in nowhere", () => {
  const foreign = makeAuthority();

  test.for<readonly [string, (port: AdminPort) => Pair | undefined]>([
    ["shows no certificate", () => undefined],
    ["has a certificate of a foreign CA", (port) => port.svid({}, [foreign])],
    [
      "has a certificate of a foreign CA and sends it along",
      (port) => {
        const pair = port.svid({}, [foreign]);
        return { ...pair, cert: `${pair.cert}${pem(foreign.der)}` };
      },
    ],
    ["has an SVID that has expired", (port) => port.svid({ notAfter: noon - 1000 })],
    [
      "has an SVID of tomorrow",
      (port) => port.svid({ notBefore: noon + hour, notAfter: noon + 2 * hour }),
    ],
    ["is of another trust domain", (port) => port.svid({ id: "spiffe://example.com/ops" })],
    [
      "is of another trust domain, by its own CA",
      (port) =>
        port.svid({ id: "spiffe://example.com/ops" }, [
          makeAuthority({ trustDomain: "example.com" }),
        ]),
    ],
    [
      "has two URI names",
      (port) => port.svid({ uris: ["spiffe://example.org/ops", "spiffe://example.org/web"] }),
    ],
    ["is an authority itself", (port) => authorityPair(port)],
  ])("who %s", async ([, shown]) => {
    const port = await AdminPort.open();
    expect(await port.client(shown(port)).list()).toBe(status.UNAVAILABLE);
    expect(port.listener.refused()).toBeGreaterThan(0);
    expect(port.listener.connections()).toBe(0);
    expect(await port.client(port.svid()).list()).toBe("ok");
  });

  test.for<readonly [string, SvidBend]>([
    ["a workload without admin", { id: "spiffe://example.org/web" }],
    ["a node", { id: "spiffe://example.org/herald/node/join_token/east" }],
    ["an issuer", { id: "spiffe://example.org/herald/issuer/1" }],
    ["an id below an administrator's", { id: "spiffe://example.org/ops/x" }],
  ])("who is known, but no administrator: %s", async ([, bend]) => {
    const port = await AdminPort.open();
    expect(await port.client(port.svid(bend)).list()).toBe(status.PERMISSION_DENIED);
    const streamed = await new Promise((resolve) => {
      const stream = port.client(port.svid(bend)).authorities.rotateAuthority({});
      stream.on("error", (error: ServiceError) => resolve(error.code));
      stream.on("data", () => {});
    });
    expect(streamed).toBe(status.PERMISSION_DENIED);
    expect(port.office.host.issuer.rotation.running()).toBeUndefined();
    // Told once, such a connection is not kept.
    await port.office.clock.advance(7000);
    await untilGone(port);
  });

  test("a client without the key of the certificate that it shows", async () => {
    const port = await AdminPort.open();
    const stolen = port.svid();
    const other = port.svid();
    await expect(port.handshake({ cert: stolen.cert, key: other.key })).rejects.toThrow();
    expect(port.listener.connections()).toBe(0);
  });
});

describe("an administrator who is one no more loses access at once, on an open connection", () => {
  test.for<readonly [string, (port: AdminPort, shown: Pair) => Promise<void> | void]>([
    ["its entry is deleted", (port) => void (port.entries = [])],
    [
      "its entry is marked no more",
      (port) => void (port.entries = [{ id: "ops", spiffeId: idOf("/ops") }]),
    ],
    [
      "its entry expires",
      (port) =>
        void (port.entries = [{ id: "ops", spiffeId: idOf("/ops"), admin: true, expiresAt: noon }]),
    ],
    ["its SVID is revoked", (port, shown) => void port.revoked.add(serialOf(shown))],
    [
      "its authority is not trusted any more",
      (port) => void (port.bundle = makeBundle("example.org", [makeAuthority()])),
    ],
    ["nothing is trusted at all", (port) => void (port.bundle = makeBundle("example.org", []))],
    ["there is no bundle", (port) => void (port.bundle = undefined)],
    ["its SVID expires", async (port) => await port.office.clock.advance(hour + 2000)],
  ])("%s", async ([, change]) => {
    const port = await AdminPort.open();
    // A node that acknowledges nothing: the rotation waits for it, and its stream stays open.
    await port.office.node("east");
    await port.office.host.issuer.rotate({ kind: "unix", uid: 0, pid: 1 });
    const shown = port.svid();
    const client = port.client(shown);
    expect(await client.list()).toBe("ok");
    const stream = client.authorities.watchRotation({});
    const ended = new Promise((resolve) => stream.on("error", resolve));
    stream.on("data", () => {});
    expect(await client.list()).toBe("ok");
    await change(port, shown);
    expect(await client.list()).not.toBe("ok");
    await port.office.clock.advance(1000);
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(port.listener.connections()).toBe(0);
  });

  test("a bundle that has moved on lets in who is below the new root, and the old as long as both are trusted", async () => {
    const port = await AdminPort.open();
    const next = makeAuthority();
    const [old, fresh] = [port.client(port.svid()), port.client(port.svid({}, [next]))];
    expect([await old.list(), await fresh.list()]).toEqual(["ok", status.UNAVAILABLE]);
    port.bundle = makeBundle("example.org", [port.authority, next]);
    const again = port.client(port.svid({}, [next]));
    expect([await old.list(), await again.list()]).toEqual(["ok", "ok"]);
    port.bundle = makeBundle("example.org", [next]);
    expect(await old.list()).not.toBe("ok");
    expect(await again.list()).toBe("ok");
  });
});

describe("TM-X-01: the port itself", () => {
  test("speaks TLS 1.3 and nothing older", async () => {
    const port = await AdminPort.open();
    await expect(port.handshake(port.svid(), { maxVersion: "TLSv1.2" })).rejects.toThrow();
    const socket = await port.handshake(port.svid(), { minVersion: "TLSv1.2" });
    expect(socket.getProtocol()).toBe("TLSv1.3");
  });

  test("gives plaintext HTTP/2 nothing", async () => {
    const port = await AdminPort.open();
    const session = connectHttp2(`http://127.0.0.1:${port.listener.port}`);
    const error = new Promise((resolve) => session.once("error", resolve));
    session
      .request({ ":path": "/herald.v1.EntryService/ListEntries", ":method": "POST" })
      .on("error", () => {});
    await Promise.race([error, once(session, "close")]);
    expect(port.listener.connections()).toBe(0);
    expect(port.listener.refused()).toBeGreaterThan(0);
  });

  test("takes no HTTP/1.1, and nobody who names no protocol", async () => {
    const port = await AdminPort.open();
    await expect(port.handshake(port.svid(), { ALPNProtocols: ["http/1.1"] })).rejects.toThrow();
    const silent = await port.handshake(port.svid(), { ALPNProtocols: [] });
    if (!silent.destroyed) await once(silent, "close");
    expect(port.listener.connections()).toBe(0);
  });

  test("resumes no session: each connection shows its chain", async () => {
    const port = await AdminPort.open();
    let session: Buffer | undefined;
    const first = await port.handshake(port.svid());
    first.on("session", (kept: Buffer) => (session = kept));
    expect(await port.client(port.svid()).list()).toBe("ok");
    const second = await port.handshake(port.svid(), session === undefined ? {} : { session });
    expect(second.isSessionReused()).toBe(false);
  });

  test("does not wait for who says nothing", async () => {
    const port = await AdminPort.open({ handshakeMs: 50 });
    const sockets = await Promise.all([port.silent(), port.silent(), port.silent()]);
    await Promise.all(
      sockets.map(async (socket) => {
        if (!socket.destroyed) await once(socket, "close");
      }),
    );
    expect(port.listener.refused()).toBe(3);
  });

  test("lets one address hold so many connections and no more", async () => {
    const port = await AdminPort.open({ maxPerAddress: 4 });
    const held = [];
    for (let n = 0; n < 4; n += 1) held.push(await port.silent());
    const more = await port.silent();
    if (!more.destroyed) await once(more, "close");
    expect(held.filter((socket) => socket.destroyed)).toEqual([]);
    for (const socket of held) socket.destroy();
    await expect.poll(async () => await port.client(port.svid()).list()).toBe("ok");
  });

  test("fills no log, however often it is tried", async () => {
    const port = await AdminPort.open();
    for (let n = 0; n < 30; n += 1) {
      const socket = await port.silent();
      socket.write("GET / HTTP/1.1\r\n\r\n");
      if (!socket.destroyed) await once(socket, "close");
    }
    await expect.poll(() => port.listener.refused()).toBe(30);
    expect(port.log.lines.filter(({ level }) => level === "warn")).toHaveLength(10);
  });
});

function pem(der: Uint8Array): string {
  const body = Buffer.from(der).toString("base64").replace(/.{64}/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
}

function authorityPair(port: AdminPort): Pair {
  const key = makeKey();
  const { der } = makeAuthority({ parent: port.authority, key });
  return {
    cert: pem(der),
    key: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

async function untilGone(port: AdminPort): Promise<void> {
  await expect.poll(() => port.listener.connections()).toBe(0);
}
