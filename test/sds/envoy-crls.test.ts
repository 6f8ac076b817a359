import { describe } from "vitest";
import { envoyCrlFacts } from "../support/envoy-crl-facts.ts";
import { envoyPath, envoySkipped } from "../support/parts.ts";

describe.skipIf(envoySkipped())("the facts that Herald's CRLs lean on (needs Envoy)", () => {
  envoyCrlFacts("1.40", envoyPath);
});
