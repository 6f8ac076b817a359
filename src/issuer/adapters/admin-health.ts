import { type ServiceError, status } from "@grpc/grpc-js";
import type { Clock, Timer } from "../../kit/clock.ts";
import {
  type HealthServer,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../wire/grpc/health/v1/health.ts";

/** How often a watcher's answer is looked at. */
const watchMs = 1000;

export interface HealthOptions {
  /** The services that there are; all are well or ill together. */
  readonly services: readonly string[];
  readonly isServing: () => boolean;
  readonly clock: Clock;
}

/** The gRPC health protocol (grpc.health.v1) for load balancers and supervisors. */
export function healthService(options: HealthOptions): HealthServer {
  const { services, isServing, clock } = options;
  const statusOf = (service: string): ServingStatus => {
    if (service !== "" && !services.includes(service)) return ServingStatus.SERVICE_UNKNOWN;
    return isServing() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  };
  return {
    check(call, done) {
      const found = statusOf(call.request.service);
      if (found === ServingStatus.SERVICE_UNKNOWN) done(unknown(call.request.service));
      else done(null, { status: found });
    },
    watch(call) {
      let told: ServingStatus | undefined;
      let timer: Timer | undefined;
      const look = (): void => {
        const found = statusOf(call.request.service);
        if (found !== told) call.write({ status: found });
        told = found;
        timer = clock.after(watchMs, look);
      };
      call.on("cancelled", () => timer?.cancel());
      look();
    },
  };
}

function unknown(service: string): Partial<ServiceError> {
  return { code: status.NOT_FOUND, details: `there is no service ${service}` };
}
