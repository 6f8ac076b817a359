import { readdirSync, readFileSync } from "node:fs";

interface Commented {
  readonly comment: string;
}

interface Call extends Commented {
  readonly name: string;
  readonly request: string;
  readonly response: string;
}

interface Service extends Commented {
  readonly name: string;
  readonly calls: readonly Call[];
}

interface Field extends Commented {
  readonly name: string;
  readonly type: string;
}

/** docs/admin-calls.md, out of the contracts and their comments. */
export function callReference(): string {
  const sources = readdirSync("proto/herald/v1")
    .toSorted()
    .map((file) => readFileSync(`proto/herald/v1/${file}`, "utf8"));
  const messages = new Map(sources.flatMap(messagesOf));
  const services = sources.flatMap(servicesOf);
  return `# Calls of the admin API

Written from proto/herald/v1 by test/daemon/admin-reference.test.ts; \`npx vitest run test/daemon/admin-reference.test.ts -u\` writes it anew. How to call them: [admin-api.md](admin-api.md).

${services.map((service) => describe(service, messages)).join("\n")}`;
}

function describe(service: Service, messages: ReadonlyMap<string, readonly Field[]>): string {
  const calls = service.calls.map(({ name, comment, request, response }) => {
    const fields = messages.get(request) ?? [];
    const rows = fields.map((field) => `| \`${field.name}\` | ${field.type} | ${field.comment} |`);
    const table =
      rows.length === 0 ? [] : ["", "| field | type | |", "| --- | --- | --- |", ...rows];
    const streams = response.startsWith("stream ");
    const answer = (messages.get(response.replace("stream ", "")) ?? [])
      .map((field) => `\`${field.name}\` (${field.type})`)
      .join(", ");
    return [
      `### herald.v1.${service.name}/${name}`,
      "",
      [
        comment,
        `Answers${streams ? " with a stream of" : ""}: ${answer === "" ? "nothing" : answer}.`,
      ]
        .filter((sentence) => sentence !== "")
        .join(" "),
      ...table,
      "",
    ].join("\n");
  });
  return [
    `## ${service.name}`,
    "",
    ...(service.comment === "" ? [] : [service.comment, ""]),
    ...calls,
  ].join("\n");
}

/** The comment lines right above a line, as one. */
function commentAbove(lines: readonly string[], at: number): string {
  const comments: string[] = [];
  for (let above = at - 1; above >= 0; above -= 1) {
    const [, text] = /^\s*\/\/ ?(.*)$/.exec(lines[above] ?? "") ?? [];
    if (text === undefined) break;
    comments.unshift(text.trim());
  }
  return comments.join(" ").replaceAll("|", "\\|");
}

function servicesOf(source: string): readonly Service[] {
  const lines = source.split("\n");
  return lines.flatMap((line, at) => {
    const [, name] = /^service (\w+) \{/.exec(line) ?? [];
    if (name === undefined) return [];
    const end = lines.indexOf("}", at);
    const calls = lines.slice(at, end).flatMap((inner, offset): Call[] => {
      const [, call, request, response] =
        /^\s+rpc (\w+)\((\w+)\) returns \(((?:stream )?\w+)\)/.exec(inner) ?? [];
      if (call === undefined || request === undefined || response === undefined) return [];
      return [{ name: call, request, response, comment: commentAbove(lines, at + offset) }];
    });
    return [{ name, comment: commentAbove(lines, at), calls }];
  });
}

function messagesOf(source: string): readonly (readonly [string, readonly Field[]])[] {
  const lines = source.split("\n");
  return lines.flatMap((line, at): (readonly [string, readonly Field[]])[] => {
    const [, name] = /^message (\w+) \{/.exec(line) ?? [];
    if (name === undefined) return [];
    const end = line.endsWith("}") ? at : lines.indexOf("}", at);
    const fields = lines.slice(at, end).flatMap((inner, offset): Field[] => {
      const [, type, field] =
        /^ {2,4}((?:repeated |optional )?(?:map<[^>]+>|[\w.]+)) (\w+) = \d+/.exec(inner) ?? [];
      if (type === undefined || field === undefined) return [];
      return [{ name: field, type, comment: commentAbove(lines, at + offset) }];
    });
    return [[name, fields]];
  });
}
