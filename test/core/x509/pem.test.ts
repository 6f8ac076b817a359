import fc from "fast-check";
import { expect, test } from "vitest";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { ipAddressBytes } from "../../../src/core/x509/ip-address.ts";
import { certificatesToPem, parsePem, toPem } from "../../../src/core/x509/pem.ts";

function outcome(run: () => unknown): string {
  try {
    run();
    return "ok";
  } catch (error) {
    if (error instanceof X509Error) return error.code;
    throw error;
  }
}

test("EF-41 one block for each certificate, and back", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 4 }),
      (chain) => {
        const text = certificatesToPem(chain);
        expect(text.split("-----BEGIN CERTIFICATE-----\n").length - 1).toBe(chain.length);
        expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(64);
        expect(parsePem("CERTIFICATE", text).map((der) => [...der])).toEqual(
          chain.map((der) => [...der]),
        );
      },
    ),
    { numRuns: 50 },
  );
});

const block = toPem("CERTIFICATE", Uint8Array.of(1, 2, 3));

test.for([
  [block, "ok"],
  [`a note\n${block}another\n${block}`, "ok"],
  [block.replaceAll("\n", "\r\n"), "ok"],
  ["", "X509_PEM"],
  ["no block", "X509_PEM"],
  [block + toPem("PRIVATE KEY", Uint8Array.of(1)), "X509_PEM"],
  [block.replace("END CERTIFICATE", "END X509 CRL"), "X509_PEM"],
  [block + block.slice(0, 40), "X509_PEM"],
  [block.replace("AQID", "AQI*"), "X509_PEM"],
  [block.replace("AQID", "AQI"), "X509_PEM"],
  [block.replace("AQID", ""), "X509_PEM"],
] as const)("RFC 7468 %j: %s", ([text, expected]) => {
  expect(outcome(() => parsePem("CERTIFICATE", text))).toBe(expected);
});

test.for([
  ["127.0.0.1", "7f000001"],
  ["255.255.255.255", "ffffffff"],
  ["::1", "00000000000000000000000000000001"],
  ["::", "00000000000000000000000000000000"],
  ["2001:db8::a:1", "20010db80000000000000000000a0001"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ["1::", "00010000000000000000000000000000"],
] as const)("RFC 5280 4.2.1.6: %s is %s", ([text, hex]) => {
  expect(Buffer.from(ipAddressBytes(text)).toString("hex")).toBe(hex);
});

test.for([
  ["1.2.3"],
  ["1.2.3.256"],
  ["01.2.3.4"],
  ["1:2:3"],
  [":::"],
  ["1::2::3"],
  ["1:2:3:4:5:6:7::8"],
  ["g::"],
  ["localhost"],
  [""],
  ["::1.2.3.4"],
])("%j is no IP address", ([text = ""]) => {
  expect(outcome(() => ipAddressBytes(text))).toBe("X509_NAME");
});
