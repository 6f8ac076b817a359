import { createHash, X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate, type TLSSocket } from "node:tls";
import type { Clock } from "../../kit/clock.ts";
import { EventsError } from "../error.ts";

/** A broker's address. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port`, with or without `tls://` or `nats://`; the port defaults to 4222. @throws EventsError BUS_MISCONFIGURED */
export function parseBrokerAddress(text: string): BrokerAddress {
  const bare = text.replace(/^(tls|nats):\/\//, "");
  const url = URL.parse(`nats://${bare}`);
  const plain =
    url !== null && url.username === "" && (url.pathname === "" || url.pathname === "/");
  if (!plain || url.hostname === "" || /:\/\//.test(bare)) {
    throw new EventsError(
      "BUS_MISCONFIGURED",
      `"${text}" is no broker address: write host:port, tls://host:port or nats://host:port`,
    );
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 4222 : Number(url.port),
  };
}

/** The pin of a certificate: SHA-256 of its SubjectPublicKeyInfo in hex, so a renewed certificate of the same key keeps it. */
export function pinOf(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("hex");
}

/** What a dial needs beside the address. */
export interface DialOptions {
  readonly clock: Clock;
  /** Gives up after this long. */
  readonly timeoutMs: number;
}

/**
 * Asks a broker for its certificate and hangs up: one TLS handshake, nothing else is sent. Trust comes from the pins alone
 * (protocol.md), so the chain is not judged here; the connection that carries data is judged by `trustOnly`.
 * @throws EventsError BUS_PIN_MISMATCH, BUS_UNREACHABLE, BUS_TIMEOUT
 */
export async function askForCertificate(
  address: BrokerAddress,
  pins: readonly string[],
  options: DialOptions,
): Promise<X509Certificate> {
  const socket = connectTls({
    ...address,
    ...serverName(address),
    rejectUnauthorized: false,
    minVersion: "TLSv1.3",
  });
  await opened(socket, "secureConnect", { ...options, address });
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  if (certificate === undefined) {
    throw new EventsError("BUS_UNREACHABLE", `${printed(address)} showed no certificate`);
  }
  const mismatch = pinMismatch(certificate, pins, address);
  if (mismatch !== undefined) throw mismatch;
  return certificate;
}

/** What `tls.connect` is given: everything on, one anchor. */
export interface PinnedTls {
  readonly servername?: string;
  readonly minVersion: "TLSv1.3";
  readonly ca: string;
  readonly allowPartialTrustChain: true;
  readonly checkServerIdentity: (host: string, peer: PeerCertificate) => Error | undefined;
}

/** TLS settings under which a connection succeeds only with this certificate, whose key must still be pinned then. */
export function trustOnly(
  certificate: X509Certificate,
  pins: () => readonly string[],
  address: BrokerAddress,
): PinnedTls {
  return {
    ...serverName(address),
    minVersion: "TLSv1.3",
    ca: certificate.toString(),
    // The broker's own certificate is the anchor, whoever signed it (X509_V_FLAG_PARTIAL_CHAIN).
    allowPartialTrustChain: true,
    checkServerIdentity: (_host, peer) =>
      pinMismatch(new X509Certificate(peer.raw), pins(), address),
  };
}

/**
 * An open TCP connection for nats.js to speak TLS over. We own it because nats.js 3.4 forgets a socket whose handshake or
 * greeting never comes: a hostile broker could eat our descriptors.
 * @throws EventsError BUS_UNREACHABLE, BUS_TIMEOUT
 */
export async function openSocket(address: BrokerAddress, options: DialOptions): Promise<Socket> {
  const socket = connectTcp({ ...address, noDelay: true });
  await opened(socket, "connect", { ...options, address });
  return socket;
}

function pinMismatch(
  certificate: X509Certificate,
  pins: readonly string[],
  address: BrokerAddress,
): EventsError | undefined {
  const pin = pinOf(certificate);
  if (pins.includes(pin)) return undefined;
  return new EventsError(
    "BUS_PIN_MISMATCH",
    `${printed(address)} has the key ${pin}, which is none of the ${pins.length} pinned, so nothing was sent; ` +
      "if the broker's key was changed on purpose, fetch the new pins from an issuer over HTTPS, otherwise somebody stands in between",
  );
}

function opened(
  socket: Socket | TLSSocket,
  event: "connect" | "secureConnect",
  options: DialOptions & { readonly address: BrokerAddress },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (code: "BUS_UNREACHABLE" | "BUS_TIMEOUT", cause?: Error): void => {
      timer.cancel();
      socket.destroy();
      const why = cause === undefined ? "no answer" : cause.message;
      const hint = /wrong version number|packet length/.test(why)
        ? "it does not begin with TLS; set handshake_first in its tls block"
        : "see that the broker runs there";
      const text = `cannot reach ${printed(options.address)}: ${why}; ${hint}`;
      reject(new EventsError(code, text, { cause }));
    };
    const timer = options.clock.after(options.timeoutMs, () => fail("BUS_TIMEOUT"));
    // Stays, so that a late error of a socket that we destroyed is not thrown at the process.
    socket.on("error", (error: Error) => fail("BUS_UNREACHABLE", error));
    socket.once("close", () => fail("BUS_UNREACHABLE"));
    socket.once(event, () => {
      timer.cancel();
      resolve();
    });
  });
}

function serverName(address: BrokerAddress): { servername?: string } {
  // RFC 6066 section 3: no IP addresses in SNI.
  return isIP(address.host) === 0 ? { servername: address.host } : {};
}

/** An address for people. */
export function printed(address: BrokerAddress): string {
  return isIP(address.host) === 6
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}
