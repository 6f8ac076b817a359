import type { Selector } from "../spiffe/selector.ts";
import type { Finding } from "./finding.ts";

/** A process has one value of each of these, so two of them fit nobody. */
const singles: readonly string[] = [
  "unix:uid:",
  "unix:user:",
  "unix:gid:",
  "unix:group:",
  "unix:path:",
  "unix:sha256:",
  "systemd:id:",
  "systemd:fragment_path:",
  "k8s:ns:",
  "k8s:sa:",
  "k8s:pod-name:",
  "k8s:pod-uid:",
  "k8s:node-name:",
  "k8s:container-name:",
];

/** Facts that come with the place a process was put into by its machine's administrator: unit, container, cgroup. */
const confined = /^(?:systemd|docker|podman|k8s|containerd|crio|cgroup):|^unix:cgroup:/;
const programs = /^unix:(?:path|sha256):/;
const users = /^unix:(?:uid:(?!0$)|user:(?!root$))/;
const groups = /^unix:(?:gid|group|supplementary_gid|supplementary_group):/;
const roots = /^unix:(?:uid:0|user:root|gid:0|group:root)$/;

/** What selectors let through that they should not, or nobody at all. */
export function lintSelectors(selectors: readonly Selector[]): readonly Finding[] {
  if (selectors.length === 0) {
    return [
      {
        rule: "ENT-NO-SELECTOR",
        level: "error",
        field: "selector",
        reason: "an entry without selectors would fit nobody",
        cure: "give at least one, such as unix:uid:1000",
      },
    ];
  }
  return [...lintContradictions(selectors), ...lintPrograms(selectors), ...lintBreadth(selectors)];
}

function lintContradictions(selectors: readonly Selector[]): readonly Finding[] {
  return singles.flatMap((prefix): readonly Finding[] => {
    const values = new Set(selectors.filter((selector) => selector.startsWith(prefix)));
    if (values.size < 2) return [];
    return [
      {
        rule: "ENT-CONTRADICTION",
        level: "error",
        field: "selector",
        reason: `no process has ${[...values].join(" and ")}, and all selectors must hold`,
        cure: "make an entry for each",
      },
    ];
  });
}

/**
 * Path and hash are read of what runs at that moment: a process of the same user can connect, hand its connection on and become the
 * program that is asked for (TM-W-03). A unit or container says who started it. A user of its own does too, if it really is its own: that the operator
 * says with --allow.
 */
function lintPrograms(selectors: readonly Selector[]): readonly Finding[] {
  const named = selectors.filter((selector) => programs.test(selector));
  if (named.length === 0 || selectors.some((selector) => confined.test(selector))) return [];
  const hasUser = selectors.some((selector) => users.test(selector));
  return [
    {
      rule: "TM-W-03",
      level: hasUser ? "overridable" : "error",
      field: "selector",
      reason: `${named.join(", ")} alone can be had by any process of the same user, which connects first and becomes that program then`,
      cure: hasUser
        ? "add a unit or container selector (systemd:id:…, docker:…, k8s:…); if nothing else runs as that user"
        : "add a unit or container selector (systemd:id:…, docker:…, k8s:…)",
    },
  ];
}

function lintBreadth(selectors: readonly Selector[]): readonly Finding[] {
  const warn = (reason: string, cure: string): readonly Finding[] => [
    { rule: "ENT-BROAD", level: "warning", field: "selector", reason, cure },
  ];
  if (selectors.every((selector) => roots.test(selector)))
    return warn("every process of root may have it", "add a unit or container selector");
  if (selectors.every((selector) => groups.test(selector)))
    return warn("every user of the group may have it", "add a user, unit or container selector");
  return [];
}
