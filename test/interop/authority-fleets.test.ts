import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stageOfTest } from "../support/fleet.ts";
import { envoySkipped } from "../support/parts.ts";
import { replaceUnderLoad } from "../support/rotation-under-load.ts";
import { verdictOnServer } from "../support/serving-chain.ts";
import { SoftHsm, softHsmIsThere } from "../support/softhsm.ts";
import { StepCa, stepCaIsThere } from "../support/step-ca.ts";
import { pemOf } from "../support/upstream-world.ts";

describe.skipIf(!softHsmIsThere() || envoySkipped())(
  "a fleet whose authorities' keys are in a token (needs SoftHSM2)",
  () => {
    let hsm: SoftHsm;
    beforeAll(() => {
      hsm = new SoftHsm("herald");
      hsm.use();
      process.env["HERALD_TEST_PIN"] = hsm.pin;
    });
    afterAll(() => hsm.remove());

    test.for(["ec-p256", "ec-p384"])(
      "%s: calls are answered through a rotation and a restart of the issuer",
      async (keyType) => {
        const stage = await stageOfTest({
          issuerYaml: `keyType: ${keyType}
keys: {store: pkcs11, module: ${hsm.module}, token: herald, pin: {env: HERALD_TEST_PIN}}
`,
        });
        const { fleet } = stage;
        await replaceUnderLoad(stage, async () => {
          await fleet.issuer.stop("SIGKILL");
          await fleet.startIssuer();
          await fleet.admin((admin) => admin.rotate());
        });
      },
    );
  },
);

describe.skipIf(!stepCaIsThere() || envoySkipped())(
  "a fleet whose authorities step-ca certifies (needs go)",
  () => {
    let ca: StepCa;
    beforeAll(async () => {
      ca = await StepCa.start();
    }, 900_000);
    afterAll(() => ca.stop());

    test("calls are answered, by chains that lead to step-ca's root, through a rotation", async () => {
      const { keyFile, passwordFile } = ca.encrypted;
      const stage = await stageOfTest({
        issuerYaml: `upstream:
  type: step-ca
  url: ${ca.url}
  fingerprint: "${ca.fingerprint}"
  provisioner: herald
  key: {file: ${keyFile}}
  password: {file: ${passwordFile}}
`,
      });
      expect(await verdictOnServer(stage.api.port, pemOf(ca.root))).toBe("ok");
      await replaceUnderLoad(stage, () => stage.fleet.admin((admin) => admin.rotate()));
      expect(await verdictOnServer(stage.api.port, pemOf(ca.root))).toBe("ok");
    });
  },
);
