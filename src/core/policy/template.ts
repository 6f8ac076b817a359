import type { Selector } from "../spiffe/selector.ts";
import {
  isReserved,
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  type TrustDomain,
} from "../spiffe/spiffe-id.ts";
import { PolicyError } from "./error.ts";

/**
 * Templates: one rule, many identities. `spiffe://td/{node.label.region}/{unix.user}` gives each user of each region an identity of its
 * own. Values come from the node's labels and the caller's attested selectors only, one selector each, and fill one path segment.
 */

/** Where a value comes from. */
type Source =
  | { readonly kind: "label"; readonly name: string }
  /** What the one selector with this beginning says behind it. */
  | { readonly kind: "selector"; readonly prefix: string };

/** One piece of the path: its own text, or a value. */
type Piece = { readonly kind: "text"; readonly text: string } | Source;

/** What a template is expanded with. */
export interface TemplateFacts {
  readonly selectors: Iterable<Selector>;
  readonly labels: Readonly<Record<string, string>>;
}

/** Does a written SPIFFE ID have places to fill? */
export function isTemplate(written: string): boolean {
  return written.includes("{") || written.includes("}");
}

/**
 * Refuses what could never become a SPIFFE ID of this trust domain's workloads.
 * @throws {PolicyError} TEMPLATE_INVALID
 */
export function checkTemplate(template: string, trustDomain: TrustDomain): void {
  const pieces = piecesOf(template, trustDomain);
  // Every value is a letter here: what is wrong with the text around them shows, whatever the values.
  const sample = pieces.map((piece) => (piece.kind === "text" ? piece.text : "x")).join("");
  const id = sampleId(`spiffe://${trustDomain}${sample}`);
  if (isReserved(id)) throw invalid("paths below /herald/ are reserved");
}

/**
 * The identity of one caller on one node.
 * @throws {PolicyError} TEMPLATE_INVALID, TEMPLATE_UNRESOLVED
 */
export function expandTemplate(
  template: string,
  trustDomain: TrustDomain,
  facts: TemplateFacts,
): SpiffeId {
  const path = piecesOf(template, trustDomain)
    .map((piece) => (piece.kind === "text" ? piece.text : valueOf(piece, facts)))
    .join("");
  const id = expandedId(`spiffe://${trustDomain}${path}`);
  if (isReserved(id) || pathOf(id) === "")
    throw new PolicyError("TEMPLATE_UNRESOLVED", `${id} is reserved for Herald's own parts`);
  return id;
}

function piecesOf(template: string, trustDomain: TrustDomain): readonly Piece[] {
  const start = `spiffe://${trustDomain}/`;
  if (!template.startsWith(start))
    throw invalid(`a template of this trust domain starts with ${start}`);
  const pieces: Piece[] = [];
  for (const [, text, name] of template
    .slice(start.length - 1)
    .matchAll(/([^{}]+)|\{([^{}]*)\}|[{}]/g)) {
    if (text !== undefined) pieces.push({ kind: "text", text });
    else if (name !== undefined) pieces.push(sourceOf(name));
    else throw invalid("a brace is open or closed alone");
  }
  refuseMixed(pieces);
  return pieces;
}

/** Two values in one segment could be cut in two ways: `a-b` and `c`, or `a` and `b-c`, would be one identity for two callers. */
function refuseMixed(pieces: readonly Piece[]): void {
  let isFilled = false;
  for (const piece of pieces) {
    if (piece.kind === "text") isFilled &&= !piece.text.includes("/");
    else if (isFilled) throw invalid("a path segment holds two values; put a / between them");
    else isFilled = true;
  }
}

/** `node.label.region`, `unix.user`, or with all its colons `k8s:pod-label:app`. */
function sourceOf(name: string): Source {
  const [, label] = /^node\.label\.([A-Za-z0-9][A-Za-z0-9._/-]{0,62})$/.exec(name) ?? [];
  if (label !== undefined) return { kind: "label", name: label };
  const [, type, key] = /^([a-z0-9_]+)\.([A-Za-z0-9_-]+)$/.exec(name) ?? [];
  if (type !== undefined && type !== "node") return { kind: "selector", prefix: `${type}:${key}:` };
  if (/^[a-z0-9_]+(:[^:\s]+)+$/.test(name)) return { kind: "selector", prefix: `${name}:` };
  throw invalid(
    `{${name.slice(0, 80)}} names nothing; write {node.label.NAME}, {unix.user} or {k8s:pod-label:app}`,
  );
}

function valueOf(source: Source, facts: TemplateFacts): string {
  const [what, values] =
    source.kind === "label"
      ? [`the node's label ${source.name}`, labelValues(facts.labels, source.name)]
      : [`a selector ${source.prefix}…`, selectorValues(facts.selectors, source.prefix)];
  const [value] = values;
  if (value === undefined || values.length > 1) {
    const found = values.length === 0 ? "there is none" : `there are ${values.length}`;
    throw new PolicyError("TEMPLATE_UNRESOLVED", `the template needs ${what}, and ${found}`);
  }
  if (!/^[A-Za-z0-9._-]+$/.test(value) || value === "." || value === "..") {
    throw new PolicyError(
      "TEMPLATE_UNRESOLVED",
      `${what} says ${JSON.stringify(value.slice(0, 80))}, which is no path segment of a SPIFFE ID`,
    );
  }
  return value;
}

function labelValues(labels: Readonly<Record<string, string>>, name: string): readonly string[] {
  const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
  return value === undefined ? [] : [value];
}

function selectorValues(selectors: Iterable<Selector>, prefix: string): readonly string[] {
  return [...selectors].flatMap((selector) =>
    selector.startsWith(prefix) ? [selector.slice(prefix.length)] : [],
  );
}

function sampleId(text: string): SpiffeId {
  try {
    return parseSpiffeId(text);
  } catch (cause) {
    throw new PolicyError("TEMPLATE_INVALID", "the text around its values is no SPIFFE ID", {
      cause,
    });
  }
}

function expandedId(text: string): SpiffeId {
  try {
    return parseSpiffeId(text);
  } catch (cause) {
    throw new PolicyError("TEMPLATE_UNRESOLVED", `${text.slice(0, 200)} is no SPIFFE ID`, {
      cause,
    });
  }
}

function invalid(why: string): PolicyError {
  return new PolicyError("TEMPLATE_INVALID", why);
}
