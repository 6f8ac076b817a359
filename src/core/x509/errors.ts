import { HeraldError } from "../../kit/errors.ts";

/** Everything that reading or writing DER, PEM, certificates, requests and keys can refuse. */
export type X509ErrorCode =
  | "X509_DER"
  | "X509_PEM"
  | "X509_CERTIFICATE"
  | "X509_DUPLICATE_EXTENSION"
  | "X509_KEY"
  | "X509_CSR"
  | "X509_CSR_TOO_LARGE"
  | "X509_CSR_PROOF"
  | "X509_SERIAL"
  | "X509_TIME"
  | "X509_NAME"
  | "X509_AUTHORITY"
  /** Not a complete CRL of version 2 with number, authority key id and both dates. */
  | "X509_CRL"
  /** A CRL that RFC 5280 allows and Herald does not process: delta, indirect, partitioned, unknown critical extensions. */
  | "X509_CRL_UNSUPPORTED"
  /** Well-formed, and not by the authority that it was held against. */
  | "X509_CRL_FOREIGN";

/** Thrown by every function of this folder; compare {@link X509ErrorCode}, never the text. */
export class X509Error extends HeraldError<X509ErrorCode> {}
