/** The constants of PKCS#11 (version 2.40, section 6 and pkcs11t.h) that Herald uses, by their names there. */

/** Object classes, key types, mechanisms, flags and users. */
export const ck = {
  objectPublicKey: 0x2,
  objectPrivateKey: 0x3,
  keyTypeEc: 0x3,
  mechanismEcKeyPairGen: 0x1040,
  mechanismEcdsa: 0x1041,
  flagRwSession: 0x2,
  flagSerialSession: 0x4,
  flagOsLockingOk: 0x2,
  userTypeUser: 1,
} as const;

/** Attributes. */
export const cka = {
  class: 0x0,
  token: 0x1,
  private: 0x2,
  label: 0x3,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  sign: 0x108,
  verify: 0x10a,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
} as const;

/** Return values. */
export const ckr = {
  pinIncorrect: 0xa0,
  pinInvalid: 0xa1,
  pinLenRange: 0xa2,
  pinExpired: 0xa3,
  pinLocked: 0xa4,
  userAlreadyLoggedIn: 0x100,
  cryptokiAlreadyInitialized: 0x191,
} as const;
