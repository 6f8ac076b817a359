/**
 * The first member name that stands twice in one object of a JSON text, or undefined. `JSON.parse` keeps the last of two
 * in silence, other parsers the first, so that two readers of one document would trust different keys (BDL-14).
 * @param text must have gone through `JSON.parse` already: nothing is checked here but names
 */
export function findDuplicateMember(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === '"') {
      const end = endOfString(text, at);
      const names = open.at(-1);
      // In an object a string is a name if a colon follows it; in an array no colon ever does.
      if (names !== undefined && isFollowedByColon(text, end)) {
        // Decoded, for "a" and "\u0061" are the same name.
        const name = String(JSON.parse(text.slice(at, end)));
        if (names.has(name)) return name;
        names.add(name);
      }
      at = end;
    } else {
      if (character === "{") open.push(new Set());
      else if (character === "[") open.push(undefined);
      else if (character === "}" || character === "]") open.pop();
      at += 1;
    }
  }
  return undefined;
}

/** The index after the closing quote of the string that starts at `from`. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function isFollowedByColon(text: string, from: number): boolean {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text.charAt(at))) at += 1;
  return text[at] === ":";
}
