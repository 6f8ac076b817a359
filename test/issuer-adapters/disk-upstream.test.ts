import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { isSignedBy } from "../../src/core/x509/signature.ts";
import { keyObjectSigner } from "../../src/core/x509/signer.ts";
import { DiskUpstream } from "../../src/issuer/adapters/disk-upstream.ts";
import type { AuthorityRequest } from "../../src/issuer/ports.ts";
import type { Clock } from "../../src/kit/clock.ts";
import { hour, makeKey, nextSerial, noon, type WorldAuthority } from "../support/ca-world.ts";
import { RecordingLog } from "../support/simulation-log.ts";
import {
  type Files,
  istioFiles,
  keyPem,
  linkerdFiles,
  operatorsCa,
  operatorsPki,
  pathLength,
  pemOf,
  tlsSecretFiles,
  writeFiles,
} from "../support/upstream-world.ts";

const trustDomain = parseTrustDomain("example.org");

/** A clock whose pauses take no time; at each of them somebody else may do the next thing. */
class BusyClock implements Clock {
  #now = noon;
  readonly #steps: (() => void)[];

  constructor(...steps: (() => void)[]) {
    this.#steps = steps;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    setImmediate(() => {
      this.#now += delayMs;
      this.#steps.shift()?.();
      run();
    });
    return { cancel: () => undefined };
  }
}

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "herald-upstream-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function upstream(clock: Clock = new BusyClock(), trustAnchors?: string): DiskUpstream {
  return new DiskUpstream({
    dir: folder,
    trustAnchors,
    trustDomain,
    clock,
    log: new RecordingLog(),
  });
}

function request(): AuthorityRequest {
  const { privateKey } = makeKey();
  return {
    authority: "a",
    trustDomain,
    key: () => Promise.resolve(keyObjectSigner(privateKey)),
    serial: nextSerial(),
    now: noon,
    notBefore: noon,
    notAfter: noon + 30 * 24 * hour,
  };
}

/** Which CA certifies now: its serial. */
async function issuerOf(from: DiskUpstream): Promise<string> {
  const { issuer } = await from.trust();
  return parseCertificate(issuer ?? new Uint8Array()).serial;
}

async function codeOf(from: Promise<unknown>): Promise<string> {
  return await from.then(
    () => "ok",
    (thrown: unknown) => String((thrown as { code?: unknown }).code),
  );
}

const { root, intermediate } = operatorsPki();

describe("an upstream on disk", () => {
  const layouts: readonly (readonly [
    string,
    (ca: WorldAuthority, root: WorldAuthority) => Files,
  ])[] = [
    ["Istio's cacerts", istioFiles],
    ["a kubernetes.io/tls secret", tlsSecretFiles],
    ["Linkerd's issuer secret", linkerdFiles],
  ];

  test.for(layouts)(
    "%s: certifies below the intermediate, and hands on its root",
    async ([, filesOf]) => {
      writeFiles(folder, filesOf(intermediate, root));
      const { certificate, above, anchors, key } = await upstream().certify(request());
      const made = parseCertificate(certificate);
      expect(isSignedBy(made, intermediate.key.spki)).toBe(true);
      expect(above).toContainEqual(intermediate.certificate.der);
      expect(anchors).toEqual([root.certificate.der]);
      expect(key).toBeUndefined();
      expect(made.uris).toEqual(["spiffe://example.org"]);
    },
  );

  test.for(layouts)(
    "%s with pathlen:0, as their own tools make it: is taken as the authority itself",
    async ([, filesOf]) => {
      const own = operatorsCa({ parent: root, replace: pathLength(0) });
      writeFiles(folder, filesOf(own, root));
      const { certificate, key } = await upstream().certify({
        ...request(),
        key: () => Promise.reject(new Error("no key is made")),
      });
      expect(certificate).toEqual(own.certificate.der);
      expect(key?.equals(own.key.privateKey)).toBe(true);
    },
  );

  test("an RSA intermediate certifies; one with pathlen:0 cannot sign SVIDs, and is refused", async () => {
    writeFiles(folder, istioFiles(operatorsCa({ parent: root, kind: "rsa2048" }), root));
    expect(await codeOf(upstream().certify(request()))).toBe("ok");
    const low = operatorsCa({ parent: root, kind: "rsa2048", replace: pathLength(0) });
    writeFiles(folder, istioFiles(low, root));
    expect(await codeOf(upstream().certify(request()))).toBe("UPSTREAM_CHAIN");
  });

  test("a root alone certifies below itself", async () => {
    writeFiles(folder, { "ca-cert.pem": pemOf(root), "ca-key.pem": keyPem(root) });
    const { above, anchors } = await upstream().certify(request());
    expect(above).toEqual([root.certificate.der]);
    expect(anchors).toEqual([root.certificate.der]);
  });

  test("TM-I-04 an authority ends with its upstream at the latest", async () => {
    const short = operatorsCa({ parent: root, notAfter: noon + hour });
    writeFiles(folder, istioFiles(short, root));
    const { certificate } = await upstream().certify(request());
    expect(parseCertificate(certificate).notAfter).toBe(noon + hour);
  });

  test("roots may lie elsewhere, and be several", async () => {
    const next = operatorsCa();
    writeFiles(folder, istioFiles(intermediate, root));
    const elsewhere = join(folder, "anchors");
    writeFileSync(elsewhere, pemOf(root, next));
    const { anchors } = await upstream(new BusyClock(), elsewhere).trust();
    expect(anchors).toEqual([root.certificate.der, next.certificate.der]);
  });
});

const files = istioFiles(intermediate, root);
const other = operatorsPki();

/** Without one of the files, or with another text in it. */
function but(name: string, text?: string): Files {
  const { [name]: _, ...rest } = files;
  return text === undefined ? rest : { ...rest, [name]: text };
}

const cut = (text = ""): string => text.slice(0, text.length / 2);
const encrypted = intermediate.key.privateKey.export({
  format: "pem",
  type: "pkcs8",
  cipher: "aes-256-cbc",
  passphrase: "secret",
}) as string;

describe("a folder that cannot be used is told by what is wrong", () => {
  test.for<readonly [string, string, Files]>([
    ["empty", "UPSTREAM_FILES", {}],
    ["no key", "UPSTREAM_FILES", but("ca-key.pem")],
    ["no root", "UPSTREAM_FILES", but("root-cert.pem")],
    ["half a certificate", "UPSTREAM_FILES", but("ca-cert.pem", cut(files["ca-cert.pem"]))],
    ["half a key", "UPSTREAM_FILES", but("ca-key.pem", cut(files["ca-key.pem"]))],
    ["half a root", "UPSTREAM_FILES", but("root-cert.pem", cut(files["root-cert.pem"]))],
    ["an encrypted key", "UPSTREAM_FILES", but("ca-key.pem", encrypted)],
    ["another's key", "UPSTREAM_FILES", but("ca-key.pem", keyPem(root))],
    ["two layouts", "UPSTREAM_FILES", { ...files, ...tlsSecretFiles(intermediate, root) }],
    ["another's root", "UPSTREAM_CHAIN", but("root-cert.pem", pemOf(other.root))],
  ])("%s: %s", async ([, code, there]) => {
    writeFiles(folder, there);
    expect(await codeOf(upstream().trust())).toBe(code);
  });

  test("no message quotes a key", async () => {
    writeFiles(folder, but("ca-key.pem", cut(files["ca-key.pem"])));
    const told = await upstream()
      .trust()
      .catch((thrown: unknown) => String(thrown));
    const secret = (files["ca-key.pem"] ?? "").split("\n")[1] ?? "";
    expect(told).not.toContain(secret.slice(0, 16));
  });
});

describe("a folder that is being written is waited out", () => {
  const next = istioFiles(other.intermediate, other.root);
  const names = Object.keys(next);
  const orders = names.map((_, from) => [...names.slice(from), ...names.slice(0, from)]);

  test.for(orders.map((order) => ({ from: order[0], order })))(
    "one file after the other, from $from on: never a mixture",
    async ({ order }) => {
      writeFiles(folder, files);
      const halves = order.flatMap((name) => {
        const text = next[name] ?? "";
        return [
          () => writeFileSync(join(folder, name), cut(text)),
          () => writeFileSync(join(folder, name), text),
        ];
      });
      const from = upstream(new BusyClock(...halves));
      expect(await issuerOf(from)).toBe(other.intermediate.certificate.serial);
      const { anchors } = await from.trust();
      expect(anchors).toEqual([other.root.certificate.der]);
    },
  );

  test("a mounted secret: the swap of ..data is one step", async () => {
    const version = (name: string, content: Files): void => {
      mkdirSync(join(folder, name));
      writeFiles(join(folder, name), content);
    };
    version("..v1", files);
    symlinkSync("..v1", join(folder, "..data"));
    for (const name of names) symlinkSync(join("..data", name), join(folder, name));
    const swap = (): void => {
      version("..v2", next);
      symlinkSync("..v2", join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
      rmSync(join(folder, "..v1"), { recursive: true });
    };
    expect(await issuerOf(upstream())).toBe(intermediate.certificate.serial);
    expect(await issuerOf(upstream(new BusyClock(swap)))).toBe(
      other.intermediate.certificate.serial,
    );
  });

  test("one that never comes to rest is told", async () => {
    writeFiles(folder, files);
    const flip = (ca: typeof other) => () =>
      writeFiles(folder, istioFiles(ca.intermediate, ca.root));
    const steps = Array.from({ length: 40 }, (_, at) =>
      flip(at % 2 === 0 ? other : { root, intermediate }),
    );
    expect(await codeOf(upstream(new BusyClock(...steps)).trust())).toBe("UPSTREAM_FILES");
  });

  test("one whose key was taken away certifies nothing more, whatever was read before", async () => {
    writeFiles(folder, files);
    const from = upstream();
    await from.trust();
    unlinkSync(join(folder, "ca-key.pem"));
    expect(await codeOf(from.certify(request()))).toBe("UPSTREAM_FILES");
  });

  test("a change is told by the folder itself", async () => {
    writeFiles(folder, files);
    const told = Promise.withResolvers<void>();
    const stop = upstream().watch(told.resolve);
    writeFiles(folder, next);
    await told.promise;
    stop();
  });
});
