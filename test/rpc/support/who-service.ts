import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import type {
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from "@grpc/grpc-js";
import { peerOf } from "../../../src/rpc/call-peer.ts";

/** What the service below says of its caller. */
export interface Who {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly id: string;
  readonly alive: boolean;
}

const asItIs = (value: Buffer): Buffer => value;
type Method = MethodDefinition<Buffer, Buffer>;

const method = (
  name: string,
  kinds: { requestStream: boolean; responseStream: boolean },
): Method => ({
  path: `/test.Who/${name}`,
  ...kinds,
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
});

/** One method of each kind that Herald serves. */
export const whoDefinition: Readonly<Record<"ask" | "watch" | "talk", Method>> = {
  ask: method("Ask", { requestStream: false, responseStream: false }),
  watch: method("Watch", { requestStream: false, responseStream: true }),
  talk: method("Talk", { requestStream: true, responseStream: true }),
};

/** A service that answers every call with who made it; `watch` and `talk` stay open. */
export function addWho(server: Server): void {
  server.addService(whoDefinition, {
    ask(call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
      answer(null, describe(call));
    },
    watch(call: ServerWritableStream<Buffer, Buffer>) {
      call.write(describe(call));
    },
    talk(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", () => call.write(describe(call)));
      call.on("end", () => call.end());
    },
  });
}

function describe(call: Parameters<typeof peerOf>[0]): Buffer {
  try {
    const peer = peerOf(call);
    const { uid, gid, pid, id } = peer;
    return Buffer.from(JSON.stringify({ uid, gid, pid, id, alive: peer.isAlive() } satisfies Who));
  } catch (thrown) {
    return Buffer.from(JSON.stringify({ code: (thrown as { code?: string }).code }));
  }
}

/** HTTP/2 with prior knowledge on an open socket, as Envoy speaks it. */
export async function speakHttp2(socket: Socket): Promise<ClientHttp2Session> {
  const session = connectHttp2("http://who", { createConnection: () => socket });
  await once(session, "remoteSettings");
  return session;
}

export async function openHttp2(path: string): Promise<ClientHttp2Session> {
  return await speakHttp2(connect(path));
}

/** One `Ask` by hand, with any headers. */
export async function askWho(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string>> = {},
): Promise<Who> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/test.Who/Ask",
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.end(Buffer.alloc(5));
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).subarray(5).toString()) as Who;
}
