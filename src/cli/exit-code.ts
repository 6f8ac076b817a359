/** What `herald` ends with: 0 it is done, 1 it failed, 2 the command line or the configuration is wrong. */
export const exitCode = { ok: 0, failed: 1, usage: 2 } as const;
