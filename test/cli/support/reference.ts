import type { Command } from "commander";

const head = `# The command line

Written from the commands' own help by test/cli/reference.test.ts; \`npx vitest run test/cli/reference.test.ts -u\` writes it anew.

Exit codes: **0** it is done, **1** it failed, **2** the command line or the configuration is wrong. An error goes to stderr:

\`\`\`
herald: what happened
  try: what to do
\`\`\`

and with \`--json\` as one line, \`{"error":{"code":…,"message":…,"cure":…}}\`. In JSON, times are ISO 8601 in UTC, \`null\` for never.

Verbs that talk to an issuer find it by \`--admin\`, else by \`HERALD_ADMIN\`, else at \`unix:///run/herald/admin.sock\`; when nobody
listens there, it is the issuer of this user's last \`herald dev\` (\`$XDG_RUNTIME_DIR/herald-<uid>/dev-admin\`, or below \`/tmp\`; a
pointer that another user could have written is not followed).
`;

/** docs/cli.md: every command's help, in the order of \`herald --help\`. */
export function referenceOf(program: Command): string {
  return [head, section(program, 2), ...program.commands.flatMap((child) => sections(child))].join(
    "\n",
  );
}

function sections(command: Command): readonly string[] {
  return [section(command, 2), ...command.commands.flatMap((child) => sections(child))];
}

function section(command: Command, level: number): string {
  return `${"#".repeat(level)} ${pathOf(command)}\n\n\`\`\`\n${helpOf(command)}\n\`\`\`\n`;
}

/** With the texts that are added after the options, which only outputHelp gives. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (piece) => {
      text += piece;
    },
  });
  command.outputHelp();
  return text.trim();
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
