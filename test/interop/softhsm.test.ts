import { verify } from "node:crypto";
import { PKCS11 } from "pkcs11js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importPublicKey } from "../../src/core/x509/public-key.ts";
import { ck, cka } from "../../src/issuer/adapters/cryptoki.ts";
import { Pkcs11Keys } from "../../src/issuer/adapters/pkcs11-keys.ts";
import { Pkcs11Token } from "../../src/issuer/adapters/pkcs11-token.ts";
import { authorityKeysContract } from "../contract/authority-keys.ts";
import { SoftHsm, softHsmIsThere } from "../support/softhsm.ts";

describe.skipIf(!softHsmIsThere())("PKCS#11 (needs SoftHSM2)", () => {
  let hsm: SoftHsm;
  beforeAll(() => {
    hsm = new SoftHsm("herald", "other");
    hsm.use();
  });
  afterAll(() => hsm.remove());

  const openToken = (pin?: () => Promise<string>): Promise<Pkcs11Token> =>
    Pkcs11Token.open({
      module: hsm.module,
      token: "herald",
      pin: pin ?? (() => Promise.resolve(hsm.pin)),
    });
  const openKeys = async (): Promise<Pkcs11Keys> => new Pkcs11Keys(await openToken(), "ec-p256");

  authorityKeysContract("a SoftHSM2 token", true, async () => {
    const tokens: Pkcs11Token[] = [];
    return {
      open: async (keyType) => {
        const token = await openToken();
        tokens.push(token);
        return new Pkcs11Keys(token, keyType);
      },
      close: async () => {
        for (const token of tokens) token.close();
      },
    };
  });

  /** Another program's way to the same token. */
  function stranger(): {
    readonly library: PKCS11;
    readonly session: Buffer;
    readonly slot: Buffer;
  } {
    const library = new PKCS11();
    library.load(hsm.module);
    const slot = library
      .C_GetSlotList(true)
      .find((one) => library.C_GetTokenInfo(one).label.trim() === "herald");
    if (slot === undefined) throw new Error("there is no token");
    const session = library.C_OpenSession(slot, ck.flagSerialSession | ck.flagRwSession);
    return { library, session, slot };
  }

  function objectOf(authority: string, kind: number): Buffer {
    const { library, session } = stranger();
    library.C_FindObjectsInit(session, [
      { type: cka.class, value: kind },
      { type: cka.id, value: Buffer.from(authority) },
    ]);
    const found = library.C_FindObjects(session);
    library.C_FindObjectsFinal(session);
    if (found === null) throw new Error(`the token has no such object of ${authority}`);
    return found;
  }

  test("TM-I-02 a key cannot be taken out, even by who has the PIN", async () => {
    await (await openKeys()).create("kept");
    const { library, session } = stranger();
    const key = objectOf("kept", ck.objectPrivateKey);
    const ckaValue = 0x11;
    expect(() => library.C_GetAttributeValue(session, key, [{ type: ckaValue }])).toThrow(
      /CKR_ATTRIBUTE_SENSITIVE/,
    );
    expect(() =>
      library.C_SetAttributeValue(session, key, [{ type: cka.extractable, value: true }]),
    ).toThrow();
  });

  test("a key that somebody else made under the name, and could take out, is refused", async () => {
    const keys = await openKeys();
    const { library, session } = stranger();
    const common = [
      { type: cka.token, value: true },
      { type: cka.label, value: "herald authority planted" },
      { type: cka.id, value: Buffer.from("planted") },
    ];
    library.C_GenerateKeyPair(
      session,
      { mechanism: ck.mechanismEcKeyPairGen },
      [...common, { type: cka.ecParams, value: Buffer.from("06082a8648ce3d030107", "hex") }],
      [...common, { type: cka.sensitive, value: false }, { type: cka.extractable, value: true }],
    );
    await expect(keys.open("planted")).rejects.toMatchObject({ code: "KEY_UNUSABLE" });
    await expect(keys.create("planted")).rejects.toMatchObject({ code: "KEY_UNUSABLE" });
  });

  test("a public half that belongs to another key is noticed before anything is signed with it", async () => {
    const keys = await openKeys();
    await keys.create("left");
    await keys.create("right");
    const { library, session } = stranger();
    library.C_DestroyObject(session, objectOf("left", ck.objectPublicKey));
    library.C_SetAttributeValue(session, objectOf("right", ck.objectPublicKey), [
      { type: cka.id, value: Buffer.from("left") },
      { type: cka.label, value: "herald authority left" },
    ]);
    await expect(keys.open("left")).rejects.toMatchObject({ code: "KEY_UNUSABLE" });
  });

  test.for(["its sessions are closed", "the module is finalized"])(
    "signing goes on after %s under it",
    async (what) => {
      const keys = await openKeys();
      const signer = await keys.create(what.replaceAll(/[^a-z]/g, "-"));
      const bytes = Buffer.from("before");
      await signer.sign(bytes);
      const { library, slot } = stranger();
      if (what === "the module is finalized") library.C_Finalize();
      else library.C_CloseAllSessions(slot);
      const signatures = await Promise.all(Array.from({ length: 20 }, () => signer.sign(bytes)));
      for (const signature of signatures)
        expect(verify("sha256", bytes, importPublicKey(signer.spki), signature)).toBe(true);
    },
  );

  test("a PIN that the token refuses is tried once, however often somebody asks: tokens lock themselves", async () => {
    const keys = await openKeys();
    const signer = await keys.create("locked");
    const { library, session, slot } = stranger();
    library.C_Logout(session);
    library.C_CloseAllSessions(slot);
    let asked = 0;
    const wrong = async (): Promise<string> => {
      asked += 1;
      return "000000";
    };
    await expect(openToken(wrong)).rejects.toMatchObject({ code: "KEY_STORE" });
    expect(asked).toBe(1);
    await signer.sign(Buffer.from("the right PIN still opens it"));
  });

  test("one that is refused later stays refused, and is not tried again", async () => {
    let pin = hsm.pin;
    let asked = 0;
    const token = await openToken(async () => {
      asked += 1;
      return pin;
    });
    const signer = await new Pkcs11Keys(token, "ec-p256").create("changed");
    pin = "000000";
    const { library, session, slot } = stranger();
    library.C_Logout(session);
    library.C_CloseAllSessions(slot);
    for (const _ of Array(3)) {
      await expect(signer.sign(Buffer.from("x"))).rejects.toMatchObject({ code: "KEY_STORE" });
    }
    expect(asked).toBe(2);
  });

  test("a token that is not there is told with those that are; a module that is none is named", async () => {
    const pin = () => Promise.resolve(hsm.pin);
    const noToken = Pkcs11Token.open({ module: hsm.module, token: "none", pin });
    await expect(noToken).rejects.toMatchObject({
      code: "KEY_STORE",
      message: expect.stringMatching(/herald.*other|other.*herald/) as string,
    });
    const noModule = Pkcs11Token.open({ module: "/none.so", token: "herald", pin });
    await expect(noModule).rejects.toMatchObject({
      code: "KEY_STORE",
      message: expect.stringContaining("/none.so") as string,
    });
  });

  test("the event loop goes on while many are signed", async () => {
    const signer = await (await openKeys()).create("busy");
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns += 1;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    await Promise.all(Array.from({ length: 500 }, (_, at) => signer.sign(Buffer.from(`${at}`))));
    done = true;
    // Were it all done in one go, there would be one or two.
    expect(turns).toBeGreaterThan(50);
  });
});
