/** What can be typed after the name of a command: the choices of its first argument, and its options. */
export interface Completed {
  name: string;
  help: string;
  words: readonly string[];
}

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** In single quotes: the only character that ends them is written otherwise. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

function bashOf(commands: readonly Completed[]): string {
  const cases = commands.map(({ name, words }) => `    ${name}) words=${quoted(words.join(" "))} ;;`);
  return `_messenger() {
  local words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${quoted(commands.map(({ name }) => name).join(" "))}
  else case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _messenger messenger
`;
}

function fishOf(commands: readonly Completed[]): string {
  const lines = commands.flatMap(({ name, help, words }) => [
    `complete -c messenger -n __fish_use_subcommand -f -a ${name} -d ${quoted(help)}`,
    ...words.map((word) => `complete -c messenger -n ${quoted(`__fish_seen_subcommand_from ${name}`)} -f -a ${quoted(word)}`),
  ]);
  return `${lines.join("\n")}\n`;
}

/** A script that has a shell complete what is typed after \`messenger\`. */
export function completionOf(shell: Shell, commands: readonly Completed[]): string {
  if (shell === "fish") return fishOf(commands);
  return shell === "bash" ? bashOf(commands) : `autoload -U +X bashcompinit && bashcompinit\n${bashOf(commands)}`;
}
