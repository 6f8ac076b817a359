import { z } from "zod";
import { type AdmissionLimits, defaultAdmission } from "../issuer/door/admission.ts";
import { type Rate, rateOf } from "../kit/token-bucket.ts";

/** How much may be asked at the enrolment endpoint, whose callers are anybody. */
export interface EnrolmentLimits {
  /** From one address: IPv4, or an IPv6 /64. */
  readonly address: Rate;
  /** From all together, each of enrolments and renewals. */
  readonly all: Rate;
}

/** What the section `admission` of an issuer's configuration comes to. */
export interface AdmissionConfig {
  readonly nodes: AdmissionLimits;
  readonly enrolment: EnrolmentLimits;
}

const keys = {
  /** Of one node; twice as many at once. Defaults to 250. */
  nodeRequests: perSecond("requests a second", defaultAdmission.nodeRequests.perSecond),
  /** CSRs of one node, told by the size of its requests; twice as many at once. Defaults to 10,000: more than one core signs. */
  nodeItems: perSecond("CSRs a second", defaultAdmission.nodeItems.perSecond),
  /** Requests in the name of nodes that are not enrolled, or banned; twice as many at once. Defaults to 50. */
  unknownRequests: perSecond("requests a second", defaultAdmission.unknownRequests.perSecond),
  /** CSRs that are worked on at a time. Defaults to 400. */
  inFlightItems: whole("CSRs", defaultAdmission.inFlightItems),
  /** CSRs that may wait. Defaults to 40,000, some 20 MB. */
  queuedItems: whole("CSRs", defaultAdmission.mostWaitingItems),
  /** At the enrolment endpoint, from one address; ten times as many at once, for a fleet behind one address. Defaults to 20. */
  enrolmentsFromAddress: perSecond("requests a second", 20),
  /** At the enrolment endpoint, from all addresses; ten times as many at once. Defaults to 100. */
  enrolments: perSecond("requests a second", 100),
};

/** The section `admission`; each number is a rate per second unless its comment says otherwise. */
export const admissionSection: z.ZodType<AdmissionConfig> = z
  .strictObject(keys, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `is not a key here; the keys are ${Object.keys(keys).join(", ")}`
        : `must be a mapping with ${Object.keys(keys).join(", ")}`,
  })
  .prefault({})
  .transform((file) => ({
    nodes: {
      ...defaultAdmission,
      nodeRequests: rateOf(file.nodeRequests),
      nodeItems: rateOf(file.nodeItems),
      unknownRequests: rateOf(file.unknownRequests),
      inFlightItems: file.inFlightItems,
      mostWaitingItems: file.queuedItems,
    },
    enrolment: {
      address: { perSecond: file.enrolmentsFromAddress, burst: 10 * file.enrolmentsFromAddress },
      all: { perSecond: file.enrolments, burst: 10 * file.enrolments },
    },
  }));

function perSecond(what: string, byDefault: number): z.ZodDefault<z.ZodNumber> {
  const error = `must be a number of ${what} from 1 to 1000000`;
  return z.number({ error }).min(1, { error }).max(1_000_000, { error }).default(byDefault);
}

function whole(what: string, byDefault: number): z.ZodDefault<z.ZodNumber> {
  const error = `must be a whole number of ${what} from 1 to 1000000`;
  return z
    .number({ error })
    .int({ error })
    .min(1, { error })
    .max(1_000_000, { error })
    .default(byDefault);
}
