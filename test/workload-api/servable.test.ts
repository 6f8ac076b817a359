import { expect, test } from "vitest";
import { svidCheck } from "../../src/workload-api/servable.ts";
import { makeAuthority, makeBundle, makeSvid, noon } from "../support/ca-world.ts";

test("an SVID is looked at before a workload gets it", () => {
  const root = makeAuthority();
  const check = svidCheck({ now: () => noon, after: () => ({ cancel: () => {} }) });
  expect(check(makeSvid([root]), makeBundle("example.org", [root]))).toBeUndefined();
  expect(check(makeSvid([root]), makeBundle("example.org", [makeAuthority()]))).toMatch(/./);
});
