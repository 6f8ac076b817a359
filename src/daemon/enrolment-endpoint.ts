import { TurnedAway } from "../issuer/door/entrance.ts";
import { systemClock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { type HttpListener, type HttpRoutes, serveHttp } from "../rpc/http.ts";
import { formatHostPort, type IssuerConfig } from "./config.ts";
import { EnrolmentGate } from "./enrolment-limits.ts";
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
  const gate = new EnrolmentGate(config.admission.enrolment, systemClock);
  const answer = async (
    request: Parameters<HttpRoutes[string]>[0],
    what: keyof EnrolmentHandlers,
  ): ReturnType<HttpRoutes[string]> => {
    if (handlers === undefined)
      return { status: 503, contentType: "text/plain", body: "the issuer is starting\n" };
    const retryAfter = gate.retryAfterSeconds(what, request.remoteAddress);
    if (retryAfter > 0) return tooMany(retryAfter);
    try {
      const body = await handlers[what](request.body);
      return { status: 200, contentType: "application/json", body };
    } catch (thrown) {
      if (thrown instanceof TurnedAway) return tooMany(1);
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
      "POST /v1/enrol": (request) => answer(request, "enrol"),
      "POST /v1/renew": (request) => answer(request, "renew"),
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

/** Not logged one by one: whoever floods would fill the disk as well. */
function tooMany(retryAfterSeconds: number): Awaited<ReturnType<HttpRoutes[string]>> {
  return {
    status: 429,
    contentType: "text/plain",
    headers: { "retry-after": String(retryAfterSeconds) },
    body: "too many requests\n",
  };
}
