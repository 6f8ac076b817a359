import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Log, type LogFields, silentLog } from "../../../src/kit/log.ts";
import { createGrpcServer } from "../../../src/rpc/grpc-server.ts";
import { linuxPeerReader } from "../../../src/rpc/linux-peer.ts";
import type { PeerReader } from "../../../src/rpc/peer.ts";
import {
  listenUnix,
  type UnixListener,
  type UnixServerOptions,
} from "../../../src/rpc/unix-server.ts";
import { addWho } from "./who-service.ts";

/** A fresh folder, gone with the test. */
export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "herald-rpc-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The who-service on a fresh socket, closed with the test. */
export async function serveWho(options: Partial<UnixServerOptions> = {}): Promise<UnixListener> {
  const server = createGrpcServer();
  addWho(server);
  const listener = await listenUnix({
    path: join(await freshFolder(), "s.sock"),
    server,
    peers: linuxPeerReader(),
    log: silentLog,
    ...options,
  });
  onTestFinished(async () => await listener.close(0));
  return listener;
}

/** The real reader; says when a peer is given up. */
export function watchedReader(onClose: () => void): PeerReader {
  const reader = linuxPeerReader();
  return {
    read(socket) {
      const peer = reader.read(socket);
      return {
        ...peer,
        close() {
          peer.close();
          onClose();
        },
      };
    },
  };
}

export interface LogLine {
  readonly level: keyof Log;
  readonly fields: LogFields;
  readonly message: string;
}

/** A log that can be read. */
export function keptLog(): { readonly log: Log; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: keyof Log) =>
    (fields: LogFields, message: string): void => {
      lines.push({ level, fields, message });
    };
  return {
    log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    lines,
  };
}

/** Collects what is passed in; `next` waits for one more. */
export function queue<T>(): { readonly put: (value: T) => void; readonly next: () => Promise<T> } {
  const values: T[] = [];
  const waiting: ((value: T) => void)[] = [];
  return {
    put(value) {
      const waiter = waiting.shift();
      if (waiter === undefined) values.push(value);
      else waiter(value);
    },
    next: async () =>
      await new Promise((resolve) => {
        const [value] = values.splice(0, 1);
        if (value === undefined) waiting.push(resolve);
        else resolve(value);
      }),
  };
}
