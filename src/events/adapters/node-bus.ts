import type { Msg } from "@nats-io/transport-node";
import type { NodeBus, NodeListener, RequestKind, Service } from "../bus.ts";
import { EventsError } from "../error.ts";
import {
  directGetSubject,
  headSubject,
  keyOfRepublished,
  nodeSubscriptions,
  parseKey,
  requestSubject,
  storedSubject,
} from "../subjects.ts";
import type { BusConnection } from "./connection.ts";
import { failure } from "./failures.ts";
import { isDeletion } from "./stored-messages.ts";

/** What a node's bus is made of. */
export interface NodeBusOptions {
  /** Opened with the nodes' nkey and `nodeInboxPrefix(node)`; closed by `close()`. */
  readonly connection: BusConnection;
  /** `token26` of the node's SPIFFE ID. */
  readonly node: string;
  /** Whose heads to hear. */
  readonly trustDomain: string;
  /** How long a read waits. Defaults to 2,000 ms. */
  readonly readTimeoutMs?: number;
}

/** The node's face of the bus over NATS: core subscriptions and direct get, no consumer (ND-02). */
export function createNodeBus(options: NodeBusOptions): NodeBus {
  return {
    read: (key) => read(options, key),
    subscribe: (listener) => subscribe(options, listener),
    request: (kind, bytes, { timeoutMs }) => request(options, { kind, bytes, timeoutMs }),
    connected: () => options.connection.connected(),
    close: () => options.connection.close(),
  };
}

async function read(options: NodeBusOptions, key: string): Promise<Uint8Array | undefined> {
  if (!parseKey(key).family.forNodes) {
    throw new EventsError("BUS_BAD_KEY", `"${key}" is for issuers only; nodes cannot read it`);
  }
  let message: Msg;
  try {
    message = await options.connection
      .nats()
      .request(directGetSubject(key), undefined, { timeout: options.readTimeoutMs ?? 2_000 });
  } catch (thrown) {
    throw failure(thrown, { what: `read ${key}` });
  }
  const code = message.headers?.code ?? 0;
  if (code === 404 || (code === 0 && isDeletion(message.headers))) return undefined;
  if (code === 0) return message.data;
  throw new EventsError(
    "BUS_NO_STORE",
    `cannot read ${key}: the broker answers ${code} ${message.headers?.description ?? ""}; run \`herald doctor\` on an issuer`,
  );
}

async function subscribe(options: NodeBusOptions, listener: NodeListener): Promise<Service> {
  const { connection, node, trustDomain } = options;
  const head = headSubject(trustDomain);
  const onMessage = (message: Msg): void => {
    // A node may name any reply subject for its direct get, so a hostile one can have stored messages "answered" to all nodes. They
    // carry headers, which a head never does, and tell the subject that they are stored under.
    if (message.subject === head) {
      if (message.headers === undefined) listener.onHead(message.data);
      return;
    }
    const key = keyOfRepublished(message.subject);
    if (key === undefined || message.headers?.get("Nats-Subject") !== storedSubject(key)) return;
    // A deletion is no object: only a signed tombstone or a newer state can take something away from a node.
    if (!isDeletion(message.headers)) listener.onObject(key, message.data);
  };
  const subjects = nodeSubscriptions(node, trustDomain);
  const listenings = await Promise.all(
    subjects.map((subject) => connection.listen({ subject, onMessage })),
  );
  const stop = connection.observe({
    onConnected: () => listener.onConnected(),
    onDisconnected: () => listener.onDisconnected(),
  });
  return {
    close: async () => {
      stop();
      await Promise.all(listenings.map((listening) => listening.close()));
    },
  };
}

async function request(
  options: NodeBusOptions,
  asked: { readonly kind: RequestKind; readonly bytes: Uint8Array; readonly timeoutMs: number },
): Promise<Uint8Array> {
  const subject = requestSubject(asked.kind, options.node);
  try {
    const nats = options.connection.nats();
    const answer = await nats.request(subject, asked.bytes, { timeout: asked.timeoutMs });
    return answer.data;
  } catch (thrown) {
    throw failure(thrown, { what: `ask for ${asked.kind}`, nobodyMeans: "BUS_NO_ISSUER" });
  }
}
