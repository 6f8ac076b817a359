import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkTemplate, expandTemplate, isTemplate } from "../../../src/core/policy/template.ts";
import { parseSelector } from "../../../src/core/spiffe/selector.ts";
import { parseSpiffeId, parseTrustDomain, pathOf } from "../../../src/core/spiffe/spiffe-id.ts";

const domain = parseTrustDomain("example.org");
const labels = { region: "eu-1", dots: "..", slash: "a/b", empty: "", herald: "herald" };

const expand = (template: string, ...selectors: readonly string[]): string =>
  expandTemplate(template, domain, { selectors: selectors.map(parseSelector), labels });

describe("templates", () => {
  test("values come from the node's labels and the caller's selectors", () => {
    const template = "spiffe://example.org/{node.label.region}/u-{unix.user}/{k8s:pod-label:app}";
    expect(isTemplate(template)).toBe(true);
    expect(expand(template, "unix:user:ann", "unix:uid:7", "k8s:pod-label:app:shop")).toBe(
      "spiffe://example.org/eu-1/u-ann/shop",
    );
  });

  test.for([
    ["a value with a slash", "/x/{node.label.slash}"],
    ["two dots", "/x/{node.label.dots}"],
    ["an empty value", "/x/{node.label.empty}"],
    ["the reserved path", "/{node.label.herald}/node/x"],
    ["the reserved path made of two parts", "/her{unix.tail}/x"],
    ["a label that the node lacks", "/{node.label.rack}"],
    ["a label that every object inherits", "/{node.label.constructor}"],
    ["a selector that the caller lacks", "/{unix.group}"],
    ["a selector with two values", "/{unix.supplementary_gid}"],
    ["a value that holds a colon", "/{k8s.pod-label}"],
    ["a value in another script", "/{unix.name}"],
  ])("TM-W-08, MEC-14: %s gives no identity", ([, path]) => {
    const held = ["unix:user:ann", "unix:tail:ald", "unix:supplementary_gid:4"];
    held.push("unix:supplementary_gid:5", "k8s:pod-label:app:shop", "unix:name:ännchen");
    expect(() => expand(`spiffe://example.org${path}`, ...held)).toThrow(
      expect.objectContaining({ code: "TEMPLATE_UNRESOLVED" }),
    );
  });

  test.for([
    ["another trust domain", "spiffe://other.example/{unix.user}"],
    ["a trust domain that is filled", "spiffe://{unix.user}/x"],
    ["a trust domain that goes on", "spiffe://example.org{unix.user}/x"],
    ["a reserved path", "spiffe://example.org/herald/{unix.user}"],
    ["two values in one segment", "spiffe://example.org/{unix.user}-{unix.group}"],
    ["two values side by side", "spiffe://example.org/{unix.user}{unix.group}"],
    ["an open brace", "spiffe://example.org/{unix.user"],
    ["a closed brace", "spiffe://example.org/unix.user}"],
    ["a brace in a brace", "spiffe://example.org/{{unix.user}}"],
    ["no name", "spiffe://example.org/{}"],
    ["what is no fact", "spiffe://example.org/{node.id}"],
    ["a segment of two dots", "spiffe://example.org/../{unix.user}"],
    ["an empty segment", "spiffe://example.org//{unix.user}"],
    ["a slash at the end", "spiffe://example.org/{unix.user}/"],
  ] as const)("%s is no template", ([, template]) => {
    expect(() => checkTemplate(template, domain)).toThrow(
      expect.objectContaining({ code: "TEMPLATE_INVALID" }),
    );
  });

  test("TM-W-08 whatever a caller is called, the identity has the template's segments, and two callers never share one", () => {
    const value = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
    const made = (user: string, group: string): string | undefined => {
      try {
        return expand(
          "spiffe://example.org/{unix.user}/of-{unix.group}/x",
          `unix:user:${user}`,
          `unix:group:${group}`,
        );
      } catch {
        return undefined;
      }
    };
    fc.assert(
      fc.property(
        fc.tuple(value, value),
        fc.tuple(value, value),
        ([user, group], [user2, group2]) => {
          const one = made(user, group);
          const two = made(user2, group2);
          if (one === undefined) return;
          expect(pathOf(parseSpiffeId(one)).split("/")).toEqual(["", user, `of-${group}`, "x"]);
          expect(one === two).toBe(user === user2 && group === group2);
        },
      ),
    );
  });
});
