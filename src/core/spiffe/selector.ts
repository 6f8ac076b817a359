import { SpiffeIdError } from "./errors.ts";

declare const selectorBrand: unique symbol;

/**
 * One fact about a process, as `type:key:value` or `type:value`: `unix:uid:1000`. Made by {@link parseSelector} only.
 * Two selectors are equal when their texts are; the value may hold colons and commas, for nothing ever splits it again
 * (TM-W-08: a label `a,k8s:sa:admin` stays one value).
 */
export type Selector = string & { readonly [selectorBrand]: true };

/** In bytes; an attestor cuts or drops what it cannot say within this (TM-W-08). */
const longestSelector = 1024;

/**
 * Reads a selector.
 * @throws {SpiffeIdError} ID_SELECTOR_EMPTY, _TOO_LONG, _TYPE, _VALUE, _CHARACTER
 */
export function parseSelector(text: string): Selector {
  if (text === "") {
    throw new SpiffeIdError("ID_SELECTOR_EMPTY", "selector: is empty; write type:value");
  }
  // The first test spares encoding a huge text only to refuse it.
  if (text.length > longestSelector || Buffer.byteLength(text) > longestSelector) {
    throw new SpiffeIdError(
      "ID_SELECTOR_TOO_LONG",
      `selector: has more than ${longestSelector} bytes; choose a shorter fact`,
    );
  }
  const colon = text.indexOf(":");
  if (colon < 1 || !isType(text.slice(0, colon))) {
    throw new SpiffeIdError(
      "ID_SELECTOR_TYPE",
      "selector: does not start with a type of a-z 0-9 _ and a colon; write, for instance, unix:uid:1000",
    );
  }
  checkValue(text.slice(colon + 1));
  return text as Selector;
}

/** Whether `held` has every selector of `required`. Nothing required matches nobody: an empty list is a mistake, not "everyone". */
export function selectorsMatch(
  required: readonly Selector[],
  held: ReadonlySet<Selector>,
): boolean {
  return required.length > 0 && required.every((selector) => held.has(selector));
}

function checkValue(value: string): void {
  // A trailing colon stays legal: a container label may be set to the empty text.
  if (value === "" || value.startsWith(":")) {
    throw new SpiffeIdError(
      "ID_SELECTOR_VALUE",
      "selector: has an empty key or value; write type:value or type:key:value",
    );
  }
  // A lone surrogate has no UTF-8 form, so two different texts would become the same bytes in a signed object.
  if (!value.isWellFormed() || hasControl(value)) {
    throw new SpiffeIdError(
      "ID_SELECTOR_CHARACTER",
      "selector: holds a control character or half a surrogate pair; leave it out",
    );
  }
}

function isType(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const isLowerOrDigit = (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
    if (!isLowerOrDigit && code !== 0x5f) return false;
  }
  return true;
}

/** C0, DEL, C1 and the two Unicode line breaks: what could fake a second line in a log or a listing. */
function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f) || code === 0x2028 || code === 0x2029) {
      return true;
    }
  }
  return false;
}
