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
  | "X509_AUTHORITY";

/** Thrown by every function of this folder; compare {@link X509ErrorCode}, never the text. */
export class X509Error extends HeraldError<X509ErrorCode> {}
