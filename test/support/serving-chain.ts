import { once } from "node:events";
import { connect } from "node:tls";

/** Whether OpenSSL, which trusts `roots` (PEM) and nothing else, accepts the chain that a server's Envoy shows; otherwise why not. */
export async function verdictOnServer(port: number, roots: string): Promise<string> {
  const socket = connect({
    host: "127.0.0.1",
    port,
    ca: [roots],
    rejectUnauthorized: false,
    // The name is a SPIFFE ID, which TLS libraries do not look at.
    checkServerIdentity: () => undefined,
  });
  // The refusal of a client without a certificate may come at once; the server's chain came before it.
  socket.on("error", () => undefined);
  try {
    await once(socket, "secureConnect");
    return socket.authorized ? "ok" : String(socket.authorizationError);
  } finally {
    socket.destroy();
  }
}
