// Completions for bash, zsh and fish, generated from the option tables.
import { APPLETS } from "../../cli/applets.ts";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { STORE_POLICIES } from "../../daemon/munged/config.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import type { Command, DescribedOption } from "./commands.ts";

/** Completions for an option's argument: a list of words, or something every shell can complete by itself. */
type Candidates = readonly string[] | "files" | "directories" | "users" | "groups";

const names = (types: readonly { readonly name: string }[]) => types.map(({ name }) => name);

/** By the option's long name, or else by its argument's name. */
const CANDIDATES: Readonly<Record<string, Candidates>> = {
  cipher: names(CIPHERS),
  mac: names(MACS.slice(1)),
  zip: names(ZIPS),
  BOOL: ["0", "1"],
  DIR: "directories",
  ccache: "files",
  conffile: "files",
  GID: "groups",
  logfile: "files",
  mode: ["once", "loop"],
  path: "files",
  PATH: "files",
  POLICY: STORE_POLICIES,
  uid: "users",
  UID: "users",
};

function candidates({ long, argument }: DescribedOption): Candidates {
  return CANDIDATES[long] ?? CANDIDATES[argument ?? ""] ?? [];
}

/** Words that may come first; mungebox takes commands. */
function words({ name }: Command): readonly string[] {
  return name === "mungebox" ? APPLETS.map((applet) => applet.name) : [];
}

const spellings = ({ short, long }: DescribedOption) => [
  ...short === undefined ? [] : [`-${short}`],
  `--${long}`,
];

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** For bash, with or without the package bash-completion. */
export function formatBash(command: Command): string {
  const options = command.groups.flat();
  const generate = (kind: Candidates) =>
    typeof kind === "string"
      ? { files: "-f", directories: "-d", users: "-u", groups: "-g" }[kind]
      : `-W ${quote(kind.join(" "))}`;
  const cases = options.filter(({ argument }) => argument !== undefined).map((option) =>
    `    ${spellings(option).join("|")}) COMPREPLY=($(compgen ${
      generate(candidates(option))
    } -- "$current")); return ;;\n`
  );
  const all = [...words(command), ...options.flatMap(spellings)].join(" ");
  return `_${command.name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  # bash takes --option=value apart
  if [[ $current == = ]]; then current=; fi
  if [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  case $previous in
${cases.join("")}  esac
  COMPREPLY=($(compgen -W ${quote(all)} -- "$current"))
}
complete -o filenames -F _${command.name} ${command.name}
`;
}

/** For zsh. */
export function formatZsh(command: Command): string {
  const generate = (kind: Candidates) =>
    typeof kind === "string"
      ? { files: "_files", directories: "_files -/", users: "_users", groups: "_groups" }[kind]
      : `(${kind.join(" ")})`;
  const lines = command.groups.flat().map((option) => {
    const { short, long, argument, help } = option;
    const takes = argument !== undefined;
    const described = `[${help.replace(/[[\]\\:]/g, "\\$&")}]` +
      (takes ? `:${argument}:${generate(candidates(option))}` : "");
    const forms = [
      ...short === undefined ? [] : [`-${short}${takes ? "+" : ""}`],
      `--${long}${takes ? "=" : ""}`,
    ];
    return forms.map((form) => `  ${quote(form + described)}`).join(" \\\n");
  });
  const first = words(command);
  if (first.length > 0) lines.push(`  ${quote(`1:command:(${first.join(" ")})`)}`);
  return `#compdef ${command.name}\n_arguments -s -S \\\n${lines.join(" \\\n")}\n`;
}

/** For fish. */
export function formatFish(command: Command): string {
  const generate = (kind: Candidates) =>
    kind === "files"
      ? "-r -F"
      : typeof kind === "string"
      ? `-x -a '(__fish_complete_${kind})'`
      : `-x -a ${quote(kind.join(" "))}`;
  const lines = command.groups.flat().map((option) => {
    const { short, long, argument, help } = option;
    return [
      `complete -c ${command.name}`,
      ...short === undefined ? [] : [`-s ${short}`],
      `-l ${long}`,
      `-d ${quote(help)}`,
      ...argument === undefined ? [] : [generate(candidates(option))],
    ].join(" ");
  });
  const first = words(command).map((word) =>
    `complete -c ${command.name} -f -n __fish_use_subcommand -a ${word}`
  );
  return `${[...lines, ...first].join("\n")}\n`;
}
