import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { type HttpListener, type HttpRoutes, serveHttp } from "../rpc/http.ts";
import { formatHostPort, type IssuerConfig } from "./config.ts";
import { makeTlsIdentity } from "./tls-endpoint.ts";

/** Who answers. */
export interface EnrolmentHandlers {
  readonly enrol: (bytes: Uint8Array) => Promise<Uint8Array>;
  readonly renew: (bytes: Uint8Array) => Promise<Uint8Array>;
}

/** The endpoint is bound before the issuer starts, since its address is part of what the issuer tells; until then it says "not yet". */
export async function listenForEnrolment(
  config: IssuerConfig,
  log: Log,
): Promise<HttpListener & { serve(handlers: EnrolmentHandlers): void }> {
  let handlers: EnrolmentHandlers | undefined;
  const answer = async (
    bytes: Uint8Array,
    pick: (handlers: EnrolmentHandlers) => (bytes: Uint8Array) => Promise<Uint8Array>,
  ): ReturnType<HttpRoutes[string]> => {
    if (handlers === undefined)
      return { status: 503, contentType: "text/plain", body: "the issuer is starting\n" };
    try {
      return { status: 200, contentType: "application/json", body: await pick(handlers)(bytes) };
    } catch (thrown) {
      log.warn({ reason: reasonOf(thrown) }, "enrolment request refused");
      return {
        status: 400,
        contentType: "text/plain",
        body: "refused; the issuer's log says why\n",
      };
    }
  };
  const { certificatePem, keyPem } = await makeTlsIdentity(config.enrolment.listen.host);
  const listener = await serveHttp({
    ...config.enrolment.listen,
    tls: { cert: certificatePem, key: keyPem },
    log,
    routes: {
      "POST /v1/enrol": ({ body }) => answer(body, ({ enrol }) => enrol),
      "POST /v1/renew": ({ body }) => answer(body, ({ renew }) => renew),
    },
  });
  const url = config.enrolment.url.endsWith(":0")
    ? `https://${formatHostPort({ host: listener.host, port: listener.port })}`
    : config.enrolment.url;
  return {
    ...listener,
    url,
    serve(made) {
      handlers = made;
    },
  };
}
