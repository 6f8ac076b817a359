import { constants } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import {
  createServer as createTlsServer,
  type TLSSocket,
  type Server as TlsServer,
} from "node:tls";
import type { Server } from "@grpc/grpc-js";
import { type Clock, systemClock, type Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { TokenBucket } from "../kit/token-bucket.ts";
import { errnoOf, RpcError } from "./error.ts";
import type { RefusedCall, TlsCallers } from "./tls-callers.ts";

/** What a server shows of itself, PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** How to serve gRPC over mutual TLS 1.3. */
export interface TlsServerOptions<Identity, Caller> {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** From `createGrpcServer`. Its handlers learn their caller by `callers`. */
  readonly server: Server;
  readonly identity: TlsIdentity;
  readonly callers: TlsCallers<Caller>;
  /** Whose certificates these are (DER, leaf first), by what is trusted as of now. Throws for nobody's: the connection is given nothing. */
  readonly authenticate: (chain: readonly Uint8Array[]) => Identity;
  /** What he may call himself to handlers. Throws for who may not call: his calls are refused, and his connection ends. */
  readonly authorise: (identity: Identity) => Caller;
  /** What a refused caller is told. */
  readonly refusal: (thrown: unknown) => RefusedCall;
  readonly log: Log;
  /** Defaults to the system's. */
  readonly clock?: Clock;
  /** For a handshake, from accept on. Defaults to 5,000. */
  readonly handshakeMs?: number;
  /** In all. Defaults to 256. */
  readonly maxConnections?: number;
  /** From one address, done with the handshake or not. Defaults to 32. */
  readonly maxPerAddress?: number;
}

/** A port that is being served. */
export interface TlsListener {
  readonly host: string;
  readonly port: number;
  /** Takes another certificate for connections to come; those that are open go on. */
  setIdentity(identity: TlsIdentity): void;
  /** Open ones that are done with the handshake. */
  connections(): number;
  /** Connections that were given nothing since the start. */
  refused(): number;
  /** Takes no more connections, lets running calls end for `graceMs` (default 1,000), then cuts them. */
  close(graceMs?: number): Promise<void>;
}

/** How often open connections are looked at: a stream of somebody who may no longer read it ends then. */
const recheckMs = 1000;

/** Who is known and may not call is told so, and has so long to hear it. */
const refusedGraceMs = 5000;

/** Leaf and intermediates of a real chain are one to four. */
const longestChain = 8;

/** A resumed session shows no chain to verify, so there are none: SSL_OP_NO_TICKET, and no session is kept. */
const tlsSettings = {
  minVersion: "TLSv1.3",
  requestCert: true,
  // OpenSSL only proves that the client holds the key of its certificate: whose it is `authenticate` decides, by what is trusted at that moment.
  rejectUnauthorized: false,
  ALPNProtocols: ["h2"],
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

interface Guest {
  readonly socket: TLSSocket;
  readonly chain: readonly Uint8Array[];
  readonly since: number;
  /** It was let in once: as soon as it would not be, it is cut. */
  trusted: boolean;
}

/**
 * Serves `options.server` over mutual TLS. Fails closed: without a certificate, an `authenticate` that lets it in, TLS 1.3 and HTTP/2 nothing is read.
 * @throws {RpcError} PORT_IN_USE, PORT_FAILED
 */
export async function listenTls<Identity, Caller>(
  options: TlsServerOptions<Identity, Caller>,
): Promise<TlsListener> {
  const door = new TlsDoor(options);
  const listener = createServer((socket) => door.accept(socket));
  try {
    listener.listen({ host: options.host, port: options.port });
    await once(listener, "listening");
  } catch (cause) {
    door.close();
    throw new RpcError(
      errnoOf(cause) === "EADDRINUSE" ? "PORT_IN_USE" : "PORT_FAILED",
      `cannot serve ${options.host}:${options.port} (${errnoOf(cause)}); choose an address of this machine and a free port`,
      { cause },
    );
  }
  listener.on("error", (error) => {
    options.log.error({ reason: reasonOf(error) }, "a connection could not be accepted");
  });
  const address = listener.address();
  let closing: Promise<void> | undefined;
  const shut = async (graceMs: number): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      listener.close(() => resolve());
    });
    door.close();
    const cut = (options.clock ?? systemClock).after(graceMs, () => door.cutAll());
    await closed;
    cut.cancel();
  };
  return {
    host: options.host,
    port: typeof address === "object" && address !== null ? address.port : 0,
    setIdentity: (identity) => door.setIdentity(identity),
    connections: () => door.guests,
    refused: () => door.refused,
    close: (graceMs = 1000) => (closing ??= shut(graceMs)),
  };
}

/** Lets connections in that are somebody's, and looks after them while they are open. */
class TlsDoor<Identity, Caller> {
  readonly #options: TlsServerOptions<Identity, Caller>;
  readonly #clock: Clock;
  readonly #tls: TlsServer;
  readonly #injector: ReturnType<Server["createConnectionInjector"]>;
  readonly #guests = new Map<string, Guest>();
  /** Every accepted socket, handshake done or not, with where it comes from. */
  readonly #open = new Map<Socket, string>();
  readonly #logged: TokenBucket;
  #accepted = 0;
  #refused = 0;
  #timer: Timer;

  constructor(options: TlsServerOptions<Identity, Caller>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { callers, refusal, identity, server, handshakeMs = 5000 } = options;
    const credentials = callers.credentials((address) => this.#callerAt(address), refusal);
    this.#injector = server.createConnectionInjector(credentials);
    this.#tls = createTlsServer({ ...tlsSettings, ...identity, handshakeTimeout: handshakeMs });
    this.#tls.on("secureConnection", (socket) => this.#enter(socket));
    this.#tls.on("tlsClientError", (error, socket) => this.#turnAway(socket, reasonOf(error)));
    // Whoever wants to fill the log gets ten lines, and then one a second.
    this.#logged = new TokenBucket({ perSecond: 1, burst: 10 }, this.#clock.now());
    this.#timer = this.#clock.after(recheckMs, () => this.#recheck());
  }

  get guests(): number {
    return this.#guests.size;
  }

  get refused(): number {
    return this.#refused;
  }

  accept(socket: Socket): void {
    const from = socket.remoteAddress ?? "";
    socket.on("error", () => {});
    const { maxConnections = 256, maxPerAddress = 32 } = this.#options;
    const same = [...this.#open.values()].filter((address) => address === from).length;
    if (this.#open.size >= maxConnections || same >= maxPerAddress) {
      this.#turnAway(socket, "there are too many connections");
      return;
    }
    this.#open.set(socket, from);
    socket.once("close", () => this.#open.delete(socket));
    this.#tls.emit("connection", socket);
  }

  setIdentity(identity: TlsIdentity): void {
    this.#tls.setSecureContext({ ...tlsSettings, ...identity });
  }

  close(): void {
    this.#timer.cancel();
    this.#injector.destroy();
    for (const [socket] of this.#open) if (!this.#isGuest(socket)) socket.destroy();
  }

  cutAll(): void {
    for (const [socket] of this.#open) socket.destroy();
  }

  #isGuest(socket: Socket): boolean {
    const { remotePort } = socket;
    return [...this.#guests.values()].some((guest) => guest.socket.remotePort === remotePort);
  }

  #enter(socket: TLSSocket): void {
    try {
      if (socket.alpnProtocol !== "h2") throw refusal("it does not speak HTTP/2");
      if (socket.isSessionReused()) throw refusal("it resumes a session");
      const chain = chainOf(socket);
      this.#options.authenticate(chain);
      this.#accepted += 1;
      const address = `tls-${this.#accepted}`;
      // As on Unix sockets: the one word about its connection that grpc-js passes on to an interceptor.
      Object.defineProperty(socket, "remoteAddress", { value: address });
      const guest: Guest = { socket, chain, since: this.#clock.now(), trusted: false };
      this.#guests.set(address, guest);
      socket.once("close", () => this.#guests.delete(address));
      guest.trusted = this.#isTrusted(guest);
      this.#injector.injectConnection(socket);
    } catch (thrown) {
      this.#turnAway(socket, reasonOf(thrown));
    }
  }

  /** Asked for each call. */
  #callerAt(address: string): Caller {
    const guest = this.#guests.get(address);
    if (guest === undefined) throw refusal("its connection is not known");
    const { authenticate, authorise } = this.#options;
    return authorise(authenticate(guest.chain));
  }

  #isTrusted({ chain }: Guest): boolean {
    try {
      this.#options.authorise(this.#options.authenticate(chain));
      return true;
    } catch {
      return false;
    }
  }

  #recheck(): void {
    const now = this.#clock.now();
    for (const guest of this.#guests.values()) {
      const trusted = this.#isTrusted(guest);
      const isOver = guest.trusted || now - guest.since > refusedGraceMs;
      if (!trusted && isOver) guest.socket.destroy();
      else guest.trusted = trusted;
    }
    this.#timer = this.#clock.after(recheckMs, () => this.#recheck());
  }

  #turnAway(socket: Socket, reason: string): void {
    this.#refused += 1;
    socket.on("error", () => {});
    socket.destroy();
    const fields = { from: socket.remoteAddress, reason };
    if (this.#logged.tryTake(1, this.#clock.now()))
      this.#options.log.warn(fields, "refused a connection to the admin port");
    else this.#options.log.debug(fields, "refused a connection to the admin port");
  }
}

/** What the client showed, leaf first. @throws RpcError PEER_UNKNOWN when it showed nothing */
function chainOf(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  const seen = new Set<string>();
  let shown: ReturnType<TLSSocket["getPeerX509Certificate"]> = socket.getPeerX509Certificate();
  while (shown !== undefined && !seen.has(shown.fingerprint256) && chain.length < longestChain) {
    seen.add(shown.fingerprint256);
    chain.push(shown.raw);
    shown = shown.issuerCertificate;
  }
  if (chain.length === 0) throw refusal("it shows no certificate");
  return chain;
}

function refusal(what: string): RpcError {
  return new RpcError("PEER_UNKNOWN", `a connection is refused: ${what}`);
}
