import { request } from "node:https";
import type { X509Svid } from "../../src/core/svid/workload-view.ts";
import { certificatesToPem, toPem } from "../../src/core/x509/pem.ts";

/** What of an SVID a caller shows. */
export type CallerSvid = Pick<X509Svid, "chain" | "privateKey">;

/** What a caller with this SVID gets on a connection of its own: an HTTP status, or undefined when its handshake is refused. */
export async function callAs(svid: CallerSvid, port: number): Promise<number | undefined> {
  const call = request({
    host: "127.0.0.1",
    port,
    cert: certificatesToPem(svid.chain),
    key: toPem("PRIVATE KEY", svid.privateKey),
    // The server's own identity is not what is looked at.
    rejectUnauthorized: false,
    agent: false,
  });
  return await new Promise((done) => {
    call.once("response", (response) => {
      response.resume();
      done(response.statusCode);
    });
    call.once("error", () => done(undefined));
    call.end();
  });
}
