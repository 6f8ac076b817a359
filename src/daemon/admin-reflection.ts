import { readFileSync } from "node:fs";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";

/** What `buf build` makes of the admin API's contracts and all that they import; it ships beside them. */
const descriptors: URL = new URL("../../proto/admin.binpb", import.meta.url);

/** The admin API as its contracts describe it. */
export interface AdminContracts {
  /** A google.protobuf.FileDescriptorProto each. */
  readonly files: readonly Uint8Array[];
  /** Full names: `herald.v1.EntryService`. */
  readonly services: readonly string[];
}

/** Reads the contracts that ship with Herald. */
export function adminContracts(): AdminContracts {
  const files = membersOf(readFileSync(descriptors), 1);
  const services = files.flatMap((file) => {
    const [packageName = ""] = membersOf(file, 2).map(text);
    return membersOf(file, 6).map(
      (service) => `${packageName}.${membersOf(service, 1).map(text)[0]}`,
    );
  });
  return { files, services };
}

/** gRPC server reflection (v1 and v1alpha), by which grpcurl and others know the admin API without its proto files. */
export function addReflection(admin: Server, { files }: AdminContracts): void {
  type Package = ConstructorParameters<typeof ReflectionService>[0];
  // Of a package definition it reads nothing but the descriptors.
  const fileDescriptorProtos = files.map((file) => Buffer.from(file));
  const definition = { admin: { fileDescriptorProtos } } as unknown as Package;
  new ReflectionService(definition).addToServer(admin);
}

/** The length-delimited members of a message under one field number (descriptor.proto: FileDescriptorSet.file, FileDescriptorProto.package and .service, …name). */
function membersOf(message: Uint8Array, wanted: number): readonly Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(wireType);
  }
  return found;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
