import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { SecretDiscoveryServiceService } from "../../src/wire/envoy/service/secret/v3/sds.ts";
import { SpiffeWorkloadAPIService } from "../../src/wire/spiffe/workload/workloadapi.ts";

/** The little of protobufjs's reflection that the comparison reads. */
interface Reflected {
  readonly fullName: string;
  readonly nestedArray?: readonly Reflected[];
  readonly fields?: Readonly<Record<string, Field>>;
  readonly values?: Readonly<Record<string, number>>;
  readonly methods?: Readonly<Record<string, Method>>;
}

interface Field {
  readonly id: number;
  readonly type: string;
  readonly keyType?: string;
  readonly repeated: boolean;
  readonly partOf?: { readonly name: string } | null;
}

interface Method {
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
}

interface ProtobufJs {
  parse(
    source: string,
    options: { readonly keepCase: boolean },
  ): {
    readonly root: Reflected;
  };
}

// The official files and a parser for them come with grpc-js-xds; the parser is a dependency of its dependency.
const fromXds = createRequire(import.meta.resolve("@grpc/grpc-js-xds"));
const proto = createRequire(fromXds.resolve("@grpc/proto-loader"))("protobufjs") as ProtobufJs;
const official: readonly (readonly [string, string])[] = [
  ["envoy/", "node_modules/@grpc/grpc-js-xds/deps/envoy-api"],
  ["google/rpc/", "node_modules/@grpc/grpc-js-xds/deps/googleapis"],
];

/** Every fact of a file by its full name: what is in ours must be word for word in the official one. */
function factsOf(path: string): ReadonlyMap<string, string> {
  return new Map(facts(proto.parse(readFileSync(path, "utf8"), { keepCase: true }).root));
}

function facts(node: Reflected): readonly (readonly [string, string])[] {
  const of = <Part>(
    parts: Readonly<Record<string, Part>> | undefined,
    say: (part: Part) => string,
  ) =>
    Object.entries(parts ?? {}).map(
      ([name, part]) => [`${node.fullName}.${name}`, say(part)] as const,
    );
  return [
    ...of(node.fields, sayField),
    ...of(node.values, String),
    ...of(node.methods, sayMethod),
    ...(node.nestedArray ?? []).flatMap(facts),
  ];
}

function sayField(field: Field): string {
  const label = field.repeated ? "repeated" : (field.partOf?.name ?? "single");
  const key = field.keyType === undefined ? "" : `map by ${field.keyType} of `;
  return `${label} ${key}${field.type} = ${field.id}`;
}

function sayMethod(method: Method): string {
  const { requestType, responseType, requestStream = false, responseStream = false } = method;
  return [requestStream, requestType, responseStream, responseType].join(" ");
}

const ours = readdirSync("proto", { recursive: true, encoding: "utf8" }).filter(
  (path) => path.endsWith(".proto") && official.some(([prefix]) => path.startsWith(prefix)),
);

test("every trimmed contract is looked at", () => {
  expect(ours.length).toBeGreaterThanOrEqual(11);
});

test.for(ours)("%s says nothing that the official file does not", (path) => {
  const root = official.find(([prefix]) => path.startsWith(prefix))?.[1] ?? "";
  const theirs = factsOf(`${root}/${path}`);
  const mine = factsOf(`proto/${path}`);

  expect(mine.size).toBeGreaterThan(0);
  for (const [name, fact] of mine) expect([name, theirs.get(name)]).toEqual([name, fact]);
});

test("WEP-16 the Workload API is its seven methods, without a package", () => {
  expect(Object.values(SpiffeWorkloadAPIService).map(({ path }) => path)).toEqual([
    "/SpiffeWorkloadAPI/FetchX509SVID",
    "/SpiffeWorkloadAPI/FetchX509Bundles",
    "/SpiffeWorkloadAPI/FetchJWTSVID",
    "/SpiffeWorkloadAPI/FetchJWTBundles",
    "/SpiffeWorkloadAPI/ValidateJWTSVID",
    "/SpiffeWorkloadAPI/FetchWITSVID",
    "/SpiffeWorkloadAPI/FetchWITBundles",
  ]);
});

test("SDS is Envoy's service by name", () => {
  expect(Object.values(SecretDiscoveryServiceService).map(({ path }) => path)).toEqual([
    "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
    "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
    "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets",
  ]);
});
