import type { Server } from "@grpc/grpc-js";
import type { Operator } from "../core/envelope/audit-payloads.ts";
import type { IssuerBus } from "../events/bus.ts";
import { auditService } from "../issuer/adapters/admin-audit.ts";
import { authorityService } from "../issuer/adapters/admin-authorities.ts";
import { entryService } from "../issuer/adapters/admin-entries.ts";
import { healthService } from "../issuer/adapters/admin-health.ts";
import { nodeService } from "../issuer/adapters/admin-nodes.ts";
import { adminService } from "../issuer/adapters/admin-service.ts";
import { svidService } from "../issuer/adapters/admin-svids.ts";
import type { Issuer } from "../issuer/issuer.ts";
import { systemClock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { TlsCallers } from "../rpc/tls-callers.ts";
import { HealthService } from "../wire/grpc/health/v1/health.ts";
import { AdminServiceService } from "../wire/herald/v1/admin.ts";
import { AuditServiceService } from "../wire/herald/v1/audit.ts";
import { AuthorityServiceService } from "../wire/herald/v1/authorities.ts";
import { EntryServiceService } from "../wire/herald/v1/entries.ts";
import { NodeServiceService } from "../wire/herald/v1/nodes.ts";
import { SvidServiceService } from "../wire/herald/v1/svids.ts";
import { addReflection, adminContracts } from "./admin-reflection.ts";
import type { IssuerConfig } from "./config.ts";
import type { ControlKeys } from "./control-keys.ts";
import { notCheckedYet } from "./not-checked.ts";
import { operators } from "./operators.ts";
import { revocationFindings } from "./revocation-findings.ts";

/** Mounts every service of the admin API on its server. */
export function serveAdmin(parts: {
  readonly admin: Server;
  readonly issuer: Issuer;
  readonly bus: IssuerBus;
  readonly control: ControlKeys;
  readonly config: IssuerConfig;
  readonly enrolmentUrl: string;
  readonly callers: TlsCallers<Operator>;
  readonly log: Log;
}): void {
  const { admin, issuer, bus, control, config, enrolmentUrl, log } = parts;
  const surroundings = {
    trustDomain: config.trustDomain,
    issuerId: control.issuer,
    enrolmentUrl,
    busConnected: () => bus.connected(),
    findings: async () => [
      ...(await bus.doctor()),
      ...revocationFindings(issuer, systemClock.now()),
      ...notCheckedYet,
    ],
    tailEvents: (options: Parameters<IssuerBus["tailEvents"]>[0]) => bus.tailEvents(options),
  };
  const common = { issuer, operatorOf: operators(config, parts.callers), log };
  admin.addService(AdminServiceService, adminService({ ...common, surroundings }));
  const { pin } = control.trust;
  const audited = { trustDomain: config.trustDomain, pin, issuerId: control.issuer, reader: bus };
  admin.addService(AuditServiceService, auditService({ ...common, ...audited }));
  admin.addService(AuthorityServiceService, authorityService(common));
  admin.addService(EntryServiceService, entryService(common));
  admin.addService(NodeServiceService, nodeService({ ...common, enrolmentUrl }));
  admin.addService(SvidServiceService, svidService(common));
  const contracts = adminContracts();
  const { services } = contracts;
  const isServing = (): boolean => !issuer.status().fenced && bus.connected();
  admin.addService(HealthService, healthService({ services, isServing, clock: systemClock }));
  addReflection(admin, contracts);
}
