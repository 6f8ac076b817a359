import { z } from "zod";
import { duration, field, list, path, section } from "./config-fields.ts";

/** One witness as an operator configured it; paths are absolute. */
export type WitnessPlace =
  | { readonly kind: "file"; readonly path: string }
  | {
      readonly kind: "webhook";
      readonly url: string;
      readonly caFile: string | undefined;
      readonly tokenFile: string | undefined;
    }
  | {
      readonly kind: "nats";
      readonly servers: readonly string[];
      readonly pins: readonly string[];
      readonly seedFile: string;
      readonly stream: string;
      readonly subject: string;
    };

/** Who outside keeps checkpoints of the audit chain (docs/audit.md, "Witnesses"). */
export interface AuditConfig {
  readonly checkpointEveryMs: number;
  readonly witnesses: readonly { readonly place: WitnessPlace; readonly required: boolean }[];
}

/** The section `audit` as its file has it. */
interface AuditSection {
  readonly checkpointEvery: number;
  readonly witnesses: readonly WitnessSection[];
}

interface WitnessSection {
  readonly file?: string | undefined;
  readonly webhook?:
    | {
        readonly url: string;
        readonly caFile?: string | undefined;
        readonly tokenFile?: string | undefined;
      }
    | undefined;
  readonly nats?: Omit<Extract<WitnessPlace, { readonly kind: "nats" }>, "kind"> | undefined;
  readonly required: boolean;
}

const https = field("an https:// URL", (text) =>
  URL.canParse(text) && new URL(text).protocol === "https:" ? text : undefined,
);
const server = field("tls://HOST:PORT", (text) =>
  /^tls:\/\/[^\s/]+:\d{1,5}$/.test(text) ? text : undefined,
);
const pin = field("the SHA-256 of that broker's public key, 64 lower-case hex digits", (text) =>
  /^[0-9a-f]{64}$/.test(text) ? text : undefined,
);
const streamName = field("a stream's name", (text) =>
  /^[A-Za-z0-9_-]{1,64}$/.test(text) ? text : undefined,
);
const subject = field("a subject without wildcards, such as herald.v1.witness", (text) =>
  /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(text) ? text : undefined,
);

const witness: z.ZodType<WitnessSection> = section({
  file: path.optional(),
  webhook: section({
    url: https,
    caFile: path.optional(),
    tokenFile: path.optional(),
  }).optional(),
  nats: section({
    servers: list(server, '["tls://witness.example.org:4222"]'),
    pins: list(pin, "the pins of that broker's keys"),
    seedFile: path,
    stream: streamName.prefault("HERALD_WITNESS"),
    subject: subject.prefault("herald.v1.witness"),
  }).optional(),
  required: z.boolean({ error: "must be true or false" }).default(false),
}).superRefine((one, context) => {
  const given = [one.file, one.webhook, one.nats].filter((place) => place !== undefined);
  if (given.length === 1) return;
  context.addIssue({ code: "custom", message: "must have exactly one of file, webhook and nats" });
});

/** The section `audit`; absent: no witness. */
export const auditSection: z.ZodType<AuditSection> = section({
  checkpointEvery: duration("1s", "1h").prefault("10s"),
  witnesses: z
    .array(witness, { error: "must be a list of witnesses, each with file, webhook or nats" })
    .default([]),
}).prefault({});

/** The section as the daemon uses it. */
export function auditConfig(file: AuditSection, at: (path: string) => string): AuditConfig {
  return {
    checkpointEveryMs: file.checkpointEvery,
    witnesses: file.witnesses.flatMap((one) =>
      placesOf(one, at).map((place) => ({ place, required: one.required })),
    ),
  };
}

function placesOf(one: WitnessSection, at: (path: string) => string): readonly WitnessPlace[] {
  const { file, webhook, nats } = one;
  const atMaybe = (name: string | undefined) => (name === undefined ? undefined : at(name));
  return [
    ...(file === undefined ? [] : [{ kind: "file" as const, path: at(file) }]),
    ...(webhook === undefined
      ? []
      : [
          {
            kind: "webhook" as const,
            url: webhook.url,
            caFile: atMaybe(webhook.caFile),
            tokenFile: atMaybe(webhook.tokenFile),
          },
        ]),
    ...(nats === undefined
      ? []
      : [{ kind: "nats" as const, ...nats, seedFile: at(nats.seedFile) }]),
  ];
}
