import { createAuthority } from "../../core/x509/authority.ts";
import type { AuthorityRequest, CertifiedAuthority, UpstreamAuthority } from "../ports.ts";

/** No upstream: each authority is its own root. */
export const selfSigned: UpstreamAuthority = {
  async certify(request: AuthorityRequest): Promise<CertifiedAuthority> {
    const certificate = await createAuthority({ ...request, signer: await request.key() });
    return { certificate, above: [], anchors: [certificate] };
  },
  trust: () => Promise.resolve({ issuer: undefined, anchors: [] }),
  watch: () => () => undefined,
};
