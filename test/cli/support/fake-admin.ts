import { join } from "node:path";
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import * as admin from "../../../src/wire/herald/v1/admin.ts";
import * as audit from "../../../src/wire/herald/v1/audit.ts";
import * as authorities from "../../../src/wire/herald/v1/authorities.ts";
import * as entries from "../../../src/wire/herald/v1/entries.ts";
import * as nodes from "../../../src/wire/herald/v1/nodes.ts";
import * as svids from "../../../src/wire/herald/v1/svids.ts";
import { temporaryFolder } from "./run.ts";

/** What the issuer of a test says. Whatever is missing answers UNIMPLEMENTED. */
export interface Script {
  readonly getStatus?: Answer<admin.GetStatusRequest, admin.GetStatusResponse>;
  readonly createEntry?: Answer<entries.CreateEntryRequest, entries.CreateEntryResponse>;
  readonly listEntries?: Answer<entries.ListEntriesRequest, entries.ListEntriesResponse>;
  readonly getEntry?: Answer<entries.GetEntryRequest, entries.GetEntryResponse>;
  readonly updateEntry?: Answer<entries.UpdateEntryRequest, entries.UpdateEntryResponse>;
  readonly applyEntries?: (
    requests: readonly entries.ApplyEntriesRequest[],
  ) => readonly entries.ApplyEntriesResponse[];
  readonly deleteEntry?: Answer<entries.DeleteEntryRequest, entries.DeleteEntryResponse>;
  readonly createJoinToken?: Answer<nodes.CreateJoinTokenRequest, nodes.CreateJoinTokenResponse>;
  readonly listNodes?: Answer<nodes.ListNodesRequest, nodes.ListNodesResponse>;
  readonly getNode?: Answer<nodes.GetNodeRequest, nodes.GetNodeResponse>;
  readonly labelNode?: Answer<nodes.LabelNodeRequest, nodes.LabelNodeResponse>;
  readonly banNode?: Answer<nodes.BanNodeRequest, nodes.BanNodeResponse>;
  readonly evictNode?: Answer<nodes.EvictNodeRequest, nodes.EvictNodeResponse>;
  readonly listAuthorities?: Answer<
    authorities.ListAuthoritiesRequest,
    authorities.ListAuthoritiesResponse
  >;
  readonly rotateAuthority?: Stream<
    authorities.RotateAuthorityRequest,
    authorities.RotateAuthorityResponse
  >;
  readonly watchRotation?: Stream<
    authorities.WatchRotationRequest,
    authorities.WatchRotationResponse
  >;
  readonly prepareAuthority?: Answer<
    authorities.PrepareAuthorityRequest,
    authorities.PrepareAuthorityResponse
  >;
  readonly pruneAuthorities?: Answer<
    authorities.PruneAuthoritiesRequest,
    authorities.PruneAuthoritiesResponse
  >;
  readonly steerRotation?: Answer<
    authorities.SteerRotationRequest,
    authorities.SteerRotationResponse
  >;
  readonly forceRotation?: Answer<
    authorities.ForceRotationRequest,
    authorities.ForceRotationResponse
  >;
  readonly activateAuthority?: Stream<
    authorities.ActivateAuthorityRequest,
    authorities.ActivateAuthorityResponse
  >;
  readonly taintAuthority?: Stream<
    authorities.TaintAuthorityRequest,
    authorities.TaintAuthorityResponse
  >;
  readonly revokeAuthority?: Stream<
    authorities.RevokeAuthorityRequest,
    authorities.RevokeAuthorityResponse
  >;
  readonly listSvids?: Answer<svids.ListSvidsRequest, svids.ListSvidsResponse>;
  readonly getSvid?: Answer<svids.GetSvidRequest, svids.GetSvidResponse>;
  readonly revokeSvids?: Answer<svids.RevokeSvidsRequest, svids.RevokeSvidsResponse>;
  readonly mintSvid?: Answer<svids.MintSvidRequest, svids.MintSvidResponse>;
  readonly describeAudit?: Answer<audit.DescribeAuditRequest, audit.DescribeAuditResponse>;
  readonly readAudit?: Stream<audit.ReadAuditRequest, audit.ReadAuditResponse>;
  readonly tailEvents?: Stream<admin.TailEventsRequest, admin.TailEventsResponse>;
}

/** Throws a {@link refusal} to say no. */
type Answer<Request, Response> = (request: Request) => Response;
/** The stream's messages; `open` keeps it open after them, `fail` ends it so. */
type Stream<Request, Response> = (request: Request) => {
  readonly messages: readonly Response[];
  readonly open?: boolean;
  readonly fail?: Refusal;
};

/** A call that ends badly, as gRPC has it. */
class Refusal extends Error {
  readonly code: status;
  readonly details: string;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

export function refusal(code: status, details: string): Refusal {
  return new Refusal(code, details);
}

/** A real gRPC server on a Unix socket of its own that plays an issuer. */
export async function fakeAdmin(
  script: Script,
): Promise<{ readonly address: string; [Symbol.dispose](): void }> {
  const folder = temporaryFolder();
  const server = new Server();
  server.addService(admin.AdminServiceClient.service, {
    getStatus: unary(script.getStatus),
    tailEvents: streaming(script.tailEvents),
  });
  server.addService(entries.EntryServiceClient.service, {
    createEntry: unary(script.createEntry),
    listEntries: unary(script.listEntries),
    getEntry: unary(script.getEntry),
    updateEntry: unary(script.updateEntry),
    deleteEntry: unary(script.deleteEntry),
    applyEntries: gathering(script.applyEntries),
  });
  server.addService(nodes.NodeServiceClient.service, {
    createJoinToken: unary(script.createJoinToken),
    listNodes: unary(script.listNodes),
    getNode: unary(script.getNode),
    labelNode: unary(script.labelNode),
    banNode: unary(script.banNode),
    evictNode: unary(script.evictNode),
  });
  server.addService(authorities.AuthorityServiceClient.service, {
    listAuthorities: unary(script.listAuthorities),
    rotateAuthority: streaming(script.rotateAuthority),
    watchRotation: streaming(script.watchRotation),
    prepareAuthority: unary(script.prepareAuthority),
    pruneAuthorities: unary(script.pruneAuthorities),
    steerRotation: unary(script.steerRotation),
    forceRotation: unary(script.forceRotation),
    activateAuthority: streaming(script.activateAuthority),
    taintAuthority: streaming(script.taintAuthority),
    revokeAuthority: streaming(script.revokeAuthority),
  });
  server.addService(svids.SvidServiceClient.service, {
    listSvids: unary(script.listSvids),
    getSvid: unary(script.getSvid),
    revokeSvids: unary(script.revokeSvids),
    mintSvid: unary(script.mintSvid),
  });
  server.addService(audit.AuditServiceClient.service, {
    describeAudit: unary(script.describeAudit),
    readAudit: streaming(script.readAudit),
  });
  const path = join(folder.path, "admin.sock");
  await listen(server, path);
  return {
    address: `unix://${path}`,
    [Symbol.dispose]() {
      server.forceShutdown();
      folder[Symbol.dispose]();
    },
  };
}

/** Binds a gRPC server to a Unix socket. */
export async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((done, fail) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? done() : fail(error),
    );
  });
}

function unary<Request, Response>(
  answer: Answer<Request, Response> | undefined,
): handleUnaryCall<Request, Response> {
  return (call, done) => {
    try {
      if (answer === undefined) throw refusal(status.UNIMPLEMENTED, "not in this script");
      done(null, answer(call.request));
    } catch (thrown) {
      done(thrown as Partial<ServiceError>);
    }
  };
}

/** Answers when all messages of the request have come. */
function gathering<Request, Response>(
  answer: ((requests: readonly Request[]) => readonly Response[]) | undefined,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    const requests: Request[] = [];
    call.on("data", (request: Request) => requests.push(request));
    call.on("end", () => {
      try {
        if (answer === undefined) throw refusal(status.UNIMPLEMENTED, "not in this script");
        for (const message of answer(requests)) call.write(message);
        call.end();
      } catch (thrown) {
        call.emit("error", thrown);
      }
    });
  };
}

function streaming<Request, Response>(
  answer: Stream<Request, Response> | undefined,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const { messages, open, fail } = answer?.(call.request) ?? {
      messages: [],
      fail: refusal(status.UNIMPLEMENTED, "not in this script"),
    };
    for (const message of messages) call.write(message);
    if (fail !== undefined) call.emit("error", fail);
    else if (open !== true) call.end();
  };
}
