// The command-line conventions of AUKS's programs: GNU getopt's messages on standard error, and the usage on standard output
// in the original's layout. The options are in the programs' own tables.
import { getopt, GetoptError } from "../command_line/getopt.ts";
import { type Option, printAndExit, type Usage } from "../command_line/options.ts";
import { print, printError } from "../command_line/print.ts";
import { flag, option, text } from "../command_line/vocabulary.ts";

/** The command line of an AUKS program: the original's options, then ours. */
export interface AuksUsage<Settings> extends Usage<Settings> {
  readonly synopsis: string;
  readonly groups: readonly [
    originals: readonly Option<Settings>[],
    additions: readonly Option<Settings>[],
  ];
  /** How the original's usage spells an option. */
  readonly layout: keyof typeof LAYOUTS;
}

/** The exit status for a mistake on the command line; the original's is 0, which scripts would take for success. */
const MISTAKE = 1;

/**
 * Reads a command line into `settings`, option by option. Like the original, it ignores words that are not options. A
 * mistake ends the process with a message and the usage.
 *
 * @param program base name of argv[0].
 * @param args the words after it.
 */
export function parseAuksOptions<Settings>(
  program: string,
  usage: AuksUsage<Settings>,
  settings: Settings,
  args: readonly string[],
): void {
  try {
    getopt(usage.groups.flat(), args, {
      option: (option, value, spelling) =>
        option.set(settings, value, { program, usage, spelling }),
      parameter: () => {},
    });
  } catch (error) {
    if (!(error instanceof GetoptError)) throw error;
    printError(`${program}: ${complaint(usage, error)}\n`);
    print(formatAuksUsage(program, usage));
    process.exit(MISTAKE);
  }
}

/** -h, which every program has. */
export const HELP_OPTION: Option<unknown> = {
  short: "h",
  long: "help",
  help: "show this message",
  set: (_settings, _value, { program, usage }) =>
    printAndExit(formatAuksUsage(program, usage as AuksUsage<never>)),
};

/** An option that increases a level each time it is given. */
export function counter(
  names: string,
  help: string,
  key: "verbose" | "debug",
): Option<{ verbose: number; debug: number }> {
  return option(names, help, (settings) => {
    settings[key]++;
  });
}

/** The usage; the original's lines for its options, with typing errors corrected. */
export function formatAuksUsage(program: string, usage: AuksUsage<never>): string {
  const [originals, additions] = usage.groups;
  const { opening, line, between, closing } = LAYOUTS[usage.layout];
  const lines = [
    ...originals.map((option) => line(option)),
    ...additions.map(formatLong),
  ];
  return `${opening} ${program} ${usage.synopsis}\n\n${lines.join(between)}${closing}`;
}

interface Layout {
  readonly opening: string;
  line(option: Option<never>): string;
  readonly between: string;
  readonly closing: string;
}

/** Descriptions start at the third tab stop if the names leave room. */
const DESCRIPTION_COLUMN = 16;

function formatLong(option: Option<never>): string {
  const { short, long, argument, help } = option;
  const names = [
    ...short === undefined ? [] : [`-${short}`],
    `--${long}`,
    ...argument === undefined ? [] : [argument],
  ].join(" ");
  return `\t${names}${names.length < DESCRIPTION_COLUMN ? "\t\t" : "\t"}${help}\n`;
}

function formatShort({ short, argument, help }: Option<never>): string {
  return argument === undefined ? `\t-${short}\t\t${help}\n` : `\t-${short} ${argument}\t${help}\n`;
}

const LAYOUTS = {
  auks: { opening: "\nUsage :", line: formatLong, between: "", closing: "\n\n" },
  daemon: { opening: "\nUsage :", line: formatShort, between: " ", closing: "\n\n" },
  aukspriv: {
    opening: "Usage:",
    line: (option) => `\t${formatShort(option)}`,
    between: "",
    closing: "\n",
  },
} as const satisfies Readonly<Record<string, Layout>>;

/** GNU getopt's message for a mistake. */
function complaint(usage: AuksUsage<never>, { problem, word, option }: GetoptError): string {
  if (!word.startsWith("--")) {
    return problem === "missing"
      ? `option requires an argument -- '${word.slice(1)}'`
      : `invalid option -- '${word.slice(1)}'`;
  }
  if (problem === "missing") return `option '${word}' requires an argument`;
  if (problem === "unexpected") {
    return `option '${option.replace(/=.*$/s, "")}' doesn't allow an argument`;
  }
  const beginning = word.slice(2).replace(/=.*$/s, "");
  const candidates = usage.groups.flat().filter(({ long }) => long.startsWith(beginning));
  return candidates.length < 2
    ? `unrecognized option '${word}'`
    : `option '${word}' is ambiguous; possibilities: ${
      candidates.map(({ long }) => `'--${long}'`).join(" ")
    }`;
}

/** The settings common to all daemons' command lines. */
export interface DaemonSettings {
  /** Undefined for the default file. */
  config: string | undefined;
  foreground: boolean;
  verbose: number;
  debug: number;
}

/** The options of every daemon. */
export const DAEMON_OPTIONS: readonly Option<DaemonSettings>[] = [
  HELP_OPTION,
  counter("-d, --debug", "increase debug level (force foreground mode)", "debug"),
  counter("-v, --verbose", "increase verbose level (force foreground mode)", "verbose"),
  flag("-F, --foreground", "run in foreground", "foreground"),
  text("-f, --config=conffile", "Configuration file", "config"),
];
