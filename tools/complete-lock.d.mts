export interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly version?: string;
        readonly integrity?: string;
        readonly dev?: boolean;
        readonly link?: boolean;
        readonly optional?: boolean;
        readonly os?: readonly string[] | string;
        readonly cpu?: readonly string[] | string;
        readonly optionalDependencies?: Readonly<Record<string, string>>;
      }
    >
  >;
}

export declare function platformOf(name: string): Readonly<Record<string, string[]>> | undefined;
export declare function missingEntries(lock: Lock): Record<string, unknown>;
