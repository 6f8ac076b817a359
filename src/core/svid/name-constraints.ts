import type { Certificate, ToBeSigned } from "../x509/certificate.ts";
import type { GeneralNames } from "../x509/general-names.ts";

/** What constraints are about. */
type Named = Pick<ToBeSigned, "names" | "isSubjectEmpty">;

/**
 * Whether a certificate's names stay within the constraints of a CA above it (RFC 5280 4.2.1.10). URI and DNS names are
 * judged. Kinds that SPIFFE has no use for (email, IP, directory) are refused outright where both a constraint and such
 * a name are there: refusing is what RFC 5280 asks of those who do not process a kind.
 */
export function staysWithin(certificate: Named, authority: Certificate): boolean {
  const constraints = authority.nameConstraints;
  if (constraints === undefined) return true;
  const { permitted, excluded } = constraints;
  return (
    staysWithinUnjudged(certificate, permitted) &&
    staysWithinUnjudged(certificate, excluded) &&
    isPermitted(certificate.names, permitted) &&
    !isExcluded(certificate.names, excluded)
  );
}

function isPermitted(names: GeneralNames, permitted: GeneralNames | undefined): boolean {
  if (permitted === undefined) return true;
  const { uris, dnsNames } = permitted;
  return (
    (uris.length === 0 || names.uris.every((uri) => uris.some((base) => uriMatches(uri, base)))) &&
    (dnsNames.length === 0 ||
      names.dnsNames.every((name) => dnsNames.some((base) => dnsMatches(name, base))))
  );
}

function isExcluded(names: GeneralNames, excluded: GeneralNames | undefined): boolean {
  if (excluded === undefined) return false;
  return (
    names.uris.some((uri) => excluded.uris.some((base) => uriMatches(uri, base))) ||
    names.dnsNames.some((name) => excluded.dnsNames.some((base) => dnsMatches(name, base)))
  );
}

/** False when a list constrains a kind that is not judged here and the certificate has a name of that kind. */
function staysWithinUnjudged(certificate: Named, list: GeneralNames | undefined): boolean {
  if (list === undefined) return true;
  const { names, isSubjectEmpty } = certificate;
  // A directoryName constraint is about the subject as well.
  const hasOthers = names.others > 0 || !isSubjectEmpty;
  return !(
    (list.emails.length > 0 && (names.emails.length > 0 || !isSubjectEmpty)) ||
    (list.ipAddresses.length > 0 && names.ipAddresses.length > 0) ||
    (list.others > 0 && hasOthers)
  );
}

/** A leading period takes subdomains only; without one it is that host and nothing else. */
function uriMatches(uri: string, base: string): boolean {
  const host = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/([^/?#]*)/.exec(uri)?.[1]?.toLowerCase();
  // RFC 5280: a URI without a host fails every constraint, so to a permitted list it matches nothing.
  if (host === undefined) return false;
  const wanted = base.toLowerCase();
  return wanted.startsWith(".") ? host.endsWith(wanted) : host === wanted;
}

/** The name itself or any name with labels added to the left; an empty base takes every name. */
function dnsMatches(name: string, base: string): boolean {
  const wanted = base.toLowerCase().replace(/^\./, "");
  const given = name.toLowerCase();
  return wanted === "" || given === wanted || given.endsWith(`.${wanted}`);
}
