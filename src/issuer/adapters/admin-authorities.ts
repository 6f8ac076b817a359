import type { ServerWritableStream } from "@grpc/grpc-js";
import type { Operator } from "../../core/envelope/audit-payloads.ts";
import type { AuthorityState } from "../../core/envelope/authority-payloads.ts";
import { parseSpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { toPem } from "../../core/x509/pem.ts";
import type * as wire from "../../wire/herald/v1/authorities.ts";
import { subjectKeyIdOf } from "../authorities/authorities.ts";
import type { Waiting } from "../authorities/gate.ts";
import type { RotationProgress } from "../authorities/rotation.ts";
import { hasEnded } from "../authorities/rotation-state.ts";
import { IssuerError } from "../error.ts";
import type { Issuer } from "../issuer.ts";
import { type AdminOptions, failure, unaryHandler } from "./admin-calls.ts";

type FollowedCall<Request> = ServerWritableStream<
  Request,
  { readonly progress: wire.RotationProgress | undefined }
>;

/** Authorities and their rotation over the admin API. */
export function authorityService(options: AdminOptions): wire.AuthorityServiceServer {
  const { issuer } = options;
  const { orders } = issuer.ca;
  const unary = unaryHandler(options);
  const followed =
    <Request>(begin: (request: Request, by: Operator) => Promise<unknown>) =>
    (call: FollowedCall<Request>) =>
      void follow(call, options, (by) => begin(call.request, by));
  return {
    listAuthorities: unary(() => {
      const isRunning = issuer.rotation.running() !== undefined;
      return Promise.resolve({
        authorities: issuer.authorities.list().map((one) => authorityMessage(one, issuer)),
        rotation: isRunning ? progressMessage(issuer.rotation.progress()) : undefined,
      });
    }),
    prepareAuthority: unary(async (_request, by) => {
      const order = { verb: "ca prepare", subject: "x509", by };
      const { authority } = await issuer.order(order, (text) => orders.prepare(text));
      return { authority: authorityMessage(issuer.authorities.known(authority), issuer) };
    }),
    activateAuthority: followed(({ id }: wire.ActivateAuthorityRequest, by) =>
      issuer.order({ verb: "ca activate", subject: id, by }, (text) => orders.activate(id, text)),
    ),
    taintAuthority: followed(({ id }: wire.TaintAuthorityRequest, by) =>
      issuer.order({ verb: "ca taint", subject: id, by }, (text) => orders.taint(id, text)),
    ),
    revokeAuthority: followed(({ id }: wire.RevokeAuthorityRequest, by) =>
      issuer.order({ verb: "ca revoke", subject: id, by }, (text) => orders.revoke(id, text)),
    ),
    rotateAuthority: followed((_request: wire.RotateAuthorityRequest, by) => issuer.rotate(by)),
    watchRotation: followed((_request: wire.WatchRotationRequest) => Promise.resolve()),
    steerRotation: unary(async ({ order, node }, by) => {
      const given = { verb: `ca rotate --${order}`, subject: node === "" ? "x509" : node, by };
      await issuer.order(given, (text) => steer(issuer, { order, node, by: text }));
      return { progress: progressMessage(issuer.rotation.progress()) };
    }),
    forceRotation: unary(async ({ confirmed }, by) => {
      const verb = confirmed ? "ca rotate --force --yes" : "ca rotate --force";
      const cutOff = await issuer.order({ verb, subject: "x509", by }, (text) =>
        issuer.rotation.force(text, confirmed),
      );
      return {
        cutOff: cutOff.map(waitingMessage),
        progress: progressMessage(issuer.rotation.progress()),
      };
    }),
    pruneAuthorities: unary(async (_request, by) => {
      const order = { verb: "ca prune", subject: "x509", by };
      const { removed, kept } = await issuer.order(order, (text) => orders.prune(text));
      return {
        removed: [...removed],
        kept: kept.map(({ authority: id, waiting }) => ({
          id,
          waiting: waiting.map(waitingMessage),
        })),
      };
    }),
  };
}

async function steer(
  { rotation }: Issuer,
  given: { readonly order: string; readonly node: string; readonly by: string },
): Promise<void> {
  switch (given.order) {
    case "pause":
      await rotation.pause();
      return;
    case "resume":
      await rotation.resume();
      return;
    case "abort":
      await rotation.abort(given.by);
      return;
    case "past":
      await rotation.passBy(parseSpiffeId(given.node), given.by);
      return;
    default:
      throw new IssuerError(
        "ROTATION_ORDER",
        `order ${JSON.stringify(given.order)} is none of pause, resume, abort and past`,
      );
  }
}

/** Streams the rotation's progress, a message a change, until it is done. */
async function follow<Request>(
  call: FollowedCall<Request>,
  options: AdminOptions,
  begin: (by: Operator) => Promise<unknown>,
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
    if (hasEnded(progress.step)) end();
  };
  const stopListening = issuer.onProgress(tell);
  const end = (): void => {
    stopListening();
    call.end();
  };
  call.on("cancelled", stopListening);
  tell();
}

function authorityMessage(authority: AuthorityState, issuer: Issuer): wire.Authority {
  const next = issuer.ca.care.next(authority);
  return {
    id: authority.authority,
    status: authority.status,
    notAfter: BigInt(authority.notAfter),
    subjectKeyId: subjectKeyIdOf(authority),
    certificate: toPem("CERTIFICATE", Buffer.from(authority.certificate, "base64")),
    uses: issuer.ca.gates
      .uses(authority)
      .map(({ node, svids, until }) => ({ node, svids, until: BigInt(until) })),
    nextStep: next?.step ?? "",
    nextAt: BigInt(next?.at ?? 0),
  };
}

function progressMessage(progress: RotationProgress): wire.RotationProgress {
  const { rotation: id, waiting, passed, ...rest } = progress;
  return { ...rest, id, waiting: waiting.map(waitingMessage), passed: [...passed] };
}

function waitingMessage({ until, ...rest }: Waiting): wire.Waiting {
  return { ...rest, until: BigInt(until) };
}
