import { HeraldError } from "../../kit/errors.ts";

/** Why an entry gives a caller nothing. */
export type PolicyErrorCode =
  /** The template is not one. */
  | "TEMPLATE_INVALID"
  /** The caller, or its node, lacks what the template names, or has it in a form that is no path segment. */
  | "TEMPLATE_UNRESOLVED"
  /** The template becomes an identity that an entry gives to others. */
  | "TEMPLATE_TAKEN"
  | "ENTRY_EXPIRED"
  /** The caller does not have all selectors of the entry. */
  | "SELECTORS_MISSING";

/** What the rules of entries throw. */
export class PolicyError extends HeraldError<PolicyErrorCode> {}
