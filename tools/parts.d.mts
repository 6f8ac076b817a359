/** A binary that tests and the demo need from outside npm. */
export interface Part {
  readonly title: string;
  readonly command: string;
  readonly variable: string;
  readonly version: string;
  readonly requirement: string;
  readonly wheel: string;
  readonly versionIn: RegExp;
}

export interface Where {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly at?: string;
}

export declare const root: string;
export declare const parts: { readonly envoy: Part; readonly "nats-server": Part };
export declare class MissingPart extends Error {
  constructor(what: string, cure: string);
}
export declare function onPath(
  command: string,
  env?: Readonly<Record<string, string | undefined>>,
): string | undefined;
export declare function envoySkipped(env?: Readonly<Record<string, string | undefined>>): boolean;
export declare function findPart(
  part: Part,
  where?: Where,
): { path?: string; from?: "variable" | "path" | "wheel"; note?: string };
export declare function partPath(part: Part, where?: Where): string;
export declare function compareVersions(a: string, b: string): -1 | 0 | 1;
export declare function wheelFolder(part: Part, at?: string): string;
export declare function pinnedNode(at?: string): string;
