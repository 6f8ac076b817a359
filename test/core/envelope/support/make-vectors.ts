import { sealEnvelope } from "../../../../src/core/envelope/envelope.ts";
import { kinds } from "../../../../src/core/envelope/kinds.ts";
import { hostilePayloads } from "./hostile-payloads.ts";
import { hostileSigners } from "./hostile-signers.ts";
import { now, pin, seeds, signerFor, spki, trustDomain } from "./keys.ts";
import { allKinds, samples } from "./samples.ts";
import type { Vector, VectorFile } from "./vector.ts";

const page = "docs/protocol.md#envelope";

async function goodCases(): Promise<readonly Vector[]> {
  return await Promise.all(
    allKinds.map(async (kind): Promise<Vector> => {
      const { bytes, digest } = await sealEnvelope(kind, samples[kind], signerFor(kind));
      return {
        title: `${page}: a ${kind}`,
        kind,
        role: kinds[kind].role,
        envelope: bytes.toString("utf8"),
        expect: "ok",
        digest,
      };
    }),
  );
}

/** What test/vectors/envelope.json holds. ES256 signatures are different each time; nothing else is. */
export async function makeVectors(): Promise<VectorFile> {
  return {
    about:
      "Signed envelopes of Herald, good and hostile. Open each as `kind`, with the keys below, at `now`; `expect` is ok or the code of the refusal. `envelope` is UTF-8 text, `envelopeBase64` stands in for it where it is no text. A case may name `revoked` control keys. Another implementation may use other codes, but it accepts exactly the cases that say ok, and gets their `digest`.",
    trustDomain,
    now,
    pin,
    keys: {
      about:
        "seeds: RFC 8032, section 7.1, Ed25519 secret keys in hex; node: RFC 6979, section A.2.5, P-256; token and node: SubjectPublicKeyInfo, base64, as their verifiers hold it",
      seeds,
      token: spki.token.toString("base64"),
      node: spki.node.toString("base64"),
    },
    cases: [...(await goodCases()), ...(await hostileSigners()), ...(await hostilePayloads())],
  };
}
