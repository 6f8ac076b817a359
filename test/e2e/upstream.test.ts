import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { type FleetNode, heraldMain } from "../../demo/fleet.ts";
import { readLog } from "../../demo/logs.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { parsePem } from "../../src/core/x509/pem.ts";
import type { WorldAuthority } from "../support/ca-world.ts";
import { run } from "../support/dev.ts";
import { stageOfTest } from "../support/fleet.ts";
import { envoySkipped } from "../support/parts.ts";
import { replaceUnderLoad } from "../support/rotation-under-load.ts";
import { verdictOnServer } from "../support/serving-chain.ts";
import {
  type Files,
  istioFiles,
  linkerdFiles,
  operatorsCa,
  pathLength,
  pemOf,
  writeFiles,
} from "../support/upstream-world.ts";

const year = 365 * 24 * 3_600_000;

interface Pki {
  readonly root: WorldAuthority;
  readonly ca: WorldAuthority;
}

/** A root and an intermediate as they are made today. */
function pki(room: number): Pki {
  const dates = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + year };
  const root = operatorsCa(dates);
  return { root, ca: operatorsCa({ ...dates, parent: root, replace: pathLength(room) }) };
}

function folderOfTest(): string {
  const folder = mkdtempSync(join(tmpdir(), "hu-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What a slow copy leaves between two writes. */
const pauseMs = 300;

/** One file after the other, each in two halves, with pauses in between: nothing in it fits together for some seconds. */
async function copySlowly(folder: string, files: Files): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text.slice(0, text.length / 2));
    await sleep(pauseMs);
    writeFileSync(join(folder, name), text);
    await sleep(pauseMs);
  }
}

/** As the kubelet does it: a new folder, and one renamed link. */
function mountSecret(folder: string, version: string, files: Files): void {
  const data = join(folder, version);
  mkdirSync(data);
  writeFiles(data, files);
  symlinkSync(version, join(folder, `${version}.tmp`));
  renameSync(join(folder, `${version}.tmp`), join(folder, "..data"));
}

/** The serials of the roots that workloads of a node are given. */
async function rootsAt(node: FleetNode): Promise<readonly string[]> {
  const dir = join(folderOfTest(), "svid");
  const args = ["fetch", "x509", "--socket", `unix://${node.socket}`, "--write", dir];
  const { status, stderr } = await run(process.execPath, [heraldMain, ...args]);
  expect(status, stderr).toBe(0);
  const pem = readFileSync(join(dir, "bundle.0.pem"), "utf8");
  return parsePem("CERTIFICATE", pem).map((der) => parseCertificate(der).serial);
}

describe.skipIf(envoySkipped())("the operator's CA in a folder, replaced while running", () => {
  test("Istio's cacerts, copied file by file: every call is answered, by chains that lead to the new root", async () => {
    const [old, next] = [pki(1), pki(1)];
    const folder = folderOfTest();
    writeFiles(folder, istioFiles(old.ca, old.root));
    const stage = await stageOfTest({ issuerYaml: `upstream: {type: disk, dir: ${folder}}\n` });
    expect(await verdictOnServer(stage.api.port, pemOf(old.root))).toBe("ok");
    await replaceUnderLoad(stage, () => copySlowly(folder, istioFiles(next.ca, next.root)));
    expect(await verdictOnServer(stage.api.port, pemOf(next.root))).toBe("ok");
    expect(await verdictOnServer(stage.api.port, pemOf(old.root))).not.toBe("ok");
    expect(await rootsAt(stage.nodeA)).toEqual([next.root.certificate.serial]);
    const alarms = (await readLog(stage.fleet.logOf("issuer"))).flatMap(({ alarm }) => alarm ?? []);
    expect(alarms).toEqual([]);
  });

  test("Linkerd's issuer secret with pathlen:0, mounted: its CA signs directly, and its successor takes over", async () => {
    const [old, next] = [pki(0), pki(0)];
    const folder = folderOfTest();
    mountSecret(folder, "..v1", linkerdFiles(old.ca, old.root));
    for (const name of Object.keys(linkerdFiles(old.ca, old.root)))
      symlinkSync(join("..data", name), join(folder, name));
    const stage = await stageOfTest({ issuerYaml: `upstream: {type: disk, dir: ${folder}}\n` });
    const active = async (): Promise<string | undefined> => {
      const { certificate } = await stage.fleet.admin((admin) => admin.activeAuthority());
      return parsePem("CERTIFICATE", certificate).map(parseCertificate)[0]?.serial;
    };
    expect(await active()).toBe(old.ca.certificate.serial);
    await replaceUnderLoad(stage, async () =>
      mountSecret(folder, "..v2", linkerdFiles(next.ca, next.root)),
    );
    expect(await active()).toBe(next.ca.certificate.serial);
    expect(await verdictOnServer(stage.api.port, pemOf(next.root))).toBe("ok");
  });

  test("a folder that is broken alarms, and what there is goes on; a restart of the issuer meanwhile too", async () => {
    const old = pki(1);
    const folder = folderOfTest();
    writeFiles(folder, istioFiles(old.ca, old.root));
    const stage = await stageOfTest({ issuerYaml: `upstream: {type: disk, dir: ${folder}}\n` });
    const { fleet } = stage;
    rmSync(join(folder, "ca-key.pem"));
    await eventually("the issuer alarms", async () =>
      (await readLog(fleet.logOf("issuer"))).some(({ alarm }) => alarm === "upstream"),
    );
    await fleet.issuer.stop();
    await fleet.startIssuer();
    const entry = await fleet.admin((admin) =>
      admin.createEntry({ spiffeId: fleet.id("late"), nodes: [stage.nodeA.spiffeId] }),
    );
    await eventually("the node has an SVID that was signed meanwhile", async () =>
      (await readLog(stage.nodeA.log)).some(({ ids }) => ids?.includes(entry.spiffeId) === true),
    );
  });
});
