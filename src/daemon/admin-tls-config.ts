import { z } from "zod";

/** How the admin API is served over mutual TLS. */
export interface AdminTlsConfig {
  /** Where; without brackets, 0 lets the system choose the port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Names that the server's certificate says beside its SPIFFE ID, for clients that look at names: `herald` does not. */
  readonly dnsNames: readonly string[];
}

const listenForm = "write HOST:PORT, such as 0.0.0.0:8444, in quotes";

const listen = z
  .string({ error: `is missing or not text; ${listenForm}` })
  .transform((text, context) => {
    const [, v6, name, digits] =
      /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
    const host = v6 ?? name;
    if (host !== undefined && Number(digits) <= 65_535) return { host, port: Number(digits) };
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(text)} will not do; ${listenForm}`,
    });
    return z.NEVER;
  });

const dnsName = z
  .string({ error: "must be a list of DNS names" })
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/, {
    error: "is no DNS name; write lower-case names, such as issuer.example.org",
  })
  .max(253, { error: "is longer than a DNS name may be" });

/** The section `admin.tls`; without it the admin API is on the Unix socket only. */
export const adminTlsSection: z.ZodType<AdminTlsConfig> = z.strictObject(
  { listen, dnsNames: z.array(dnsName).max(16).default([]) },
  {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? "is not a key here; the keys are listen, dnsNames"
        : "must be a mapping with listen and dnsNames",
  },
);
