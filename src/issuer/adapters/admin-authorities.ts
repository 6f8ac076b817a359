import type { ServerWritableStream } from "@grpc/grpc-js";
import type { AuthorityState, Operator } from "../../core/envelope/payloads.ts";
import { parseCertificate } from "../../core/x509/certificate.ts";
import { toPem } from "../../core/x509/pem.ts";
import type * as wire from "../../wire/herald/v1/authorities.ts";
import type { RotationProgress } from "../rotation.ts";
import { type AdminOptions, failure, unaryHandler } from "./admin-calls.ts";

/** Authorities and their rotation over the admin API. */
export function authorityService(options: AdminOptions): wire.AuthorityServiceServer {
  const { issuer } = options;
  const unary = unaryHandler(options);
  return {
    listAuthorities: unary(() => {
      const rotation =
        issuer.rotation.running() === undefined
          ? undefined
          : progressMessage(issuer.rotation.progress());
      return Promise.resolve({
        authorities: issuer.authorities.list().map(authorityMessage),
        rotation,
      });
    }),
    rotateAuthority: (call) =>
      void follow(call, options, async (by) => void (await issuer.rotate(by))),
    watchRotation: (call) => void follow(call, options, () => Promise.resolve()),
  };
}

/** Streams the rotation's progress, a message a change, until it is done. */
async function follow(
  call: ServerWritableStream<unknown, { readonly progress: wire.RotationProgress | undefined }>,
  options: AdminOptions,
  begin: (by: Operator) => Promise<void>,
): Promise<void> {
  const { issuer, log } = options;
  try {
    await begin(await options.operatorOf(call));
  } catch (thrown) {
    call.destroy(failure(thrown, log) as Error);
    return;
  }
  let told = "";
  const tell = (): void => {
    const progress = issuer.rotation.progress();
    const line = JSON.stringify(progress);
    if (line === told) return;
    told = line;
    call.write({ progress: progressMessage(progress) });
    if (progress.step === "done") end();
  };
  const stopListening = issuer.onProgress(tell);
  const end = (): void => {
    stopListening();
    call.end();
  };
  call.on("cancelled", stopListening);
  tell();
}

function authorityMessage(authority: AuthorityState): wire.Authority {
  const der = Buffer.from(authority.certificate, "base64");
  return {
    id: authority.authority,
    status: authority.status,
    notAfter: BigInt(authority.notAfter),
    subjectKeyId: parseCertificate(der).subjectKeyId ?? "",
    certificate: toPem("CERTIFICATE", der),
  };
}

function progressMessage(progress: RotationProgress): wire.RotationProgress {
  const { rotation: id, step, liveNodes, waiting } = progress;
  return { id, step, liveNodes, waiting };
}
