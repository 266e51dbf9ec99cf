// The types of a command's option table, and its uses: parsing and --help. The table is the only description of an option.
import { MungeError } from "../../lib/errors.ts";
import { VERSION_LINE } from "../../lib/version.ts";
import { getopt, GetoptError, type OptionSyntax } from "./getopt.ts";
import { LICENSE_TEXT } from "./license.ts";
import { requireText } from "./argument_bytes.ts";
import { print } from "./print.ts";

/** One option of a command whose options fill in `Settings`. */
export interface Option<Settings> extends OptionSyntax {
  /** Its line in --help, after the names. */
  readonly help: string;
  /**
   * Applies the option as soon as it is read; `value` is "" for an option without an argument.
   *
   * @throws {MungeError} if the value is invalid; the user sees its text.
   */
  set(settings: Settings, value: string, invocation: Invocation): void;
}

/** The complete command line of a command. */
export interface Usage<Settings> {
  /** The options, in groups that --help separates by blank lines. */
  readonly groups: readonly (readonly Option<Settings>[])[];
  /** What may follow the command's name; `[OPTIONS]` if absent. */
  readonly synopsis?: string;
  /** The end of --help. */
  readonly closing?: string;
  /** Handles a word that is not an option; without this, such a word is a mistake. */
  takeParameter?(settings: Settings, word: string): void;
  /** Texts for mistakes that differ from those of most commands. */
  readonly complaints?: Complaints;
}

/** The texts for mistakes on a command line. */
export interface Complaints {
  invalid(error: GetoptError): string;
  unexpected(error: GetoptError): string;
  missing(error: GetoptError): string;
  parameter(word: string): string;
}

/** The context in which an option is applied. */
export interface Invocation {
  /** Base name of argv[0], as in `munge: Error: ...`. */
  readonly program: string;
  readonly usage: Usage<never>;
  /** The option's name as the user wrote it, `-b` or `--bi`. */
  readonly spelling: string;
}

/** The reference's text for an option that it can't name. */
export const UNPROCESSABLE = "Failed to process command-line";

/** The texts of most commands. */
export const COMPLAINTS: Complaints = {
  // The reference can't name a short option of more than one byte.
  invalid: ({ word }) => /^-[^\0-\x7f]/.test(word) ? UNPROCESSABLE : `Invalid option "${word}"`,
  unexpected: (error) => `Invalid option "${error.option}"`,
  missing: (error) => `Missing argument for option "${error.word}"`,
  parameter: (word) => `Unrecognized parameter "${word}"`,
};

/** The options every command has; each prints something and ends the process. */
export const INFORMATION_OPTIONS: readonly Option<unknown>[] = [
  {
    short: "h",
    long: "help",
    help: "Display this help message",
    set: (_settings, _value, { program, usage }) => printAndExit(formatHelp(program, usage)),
  },
  {
    short: "L",
    long: "license",
    help: "Display license information",
    set: () => printAndExit(LICENSE_TEXT),
  },
  {
    short: "V",
    long: "version",
    help: "Display version information",
    set: () => printAndExit(`${VERSION_LINE}\n`),
  },
];

/**
 * Reads a command line into `settings`, option by option, in the order given.
 *
 * @param program base name of argv[0].
 * @param args the words after it.
 * @throws {MungeError} EMUNGE_SNAFU (exit status 1) for the first mistake, in the reference's words.
 */
export function parseOptions<Settings>(
  program: string,
  usage: Usage<Settings>,
  settings: Settings,
  args: readonly string[],
): void {
  const complaints = usage.complaints ?? COMPLAINTS;
  try {
    getopt(usage.groups.flat(), args, {
      option(option, value, spelling) {
        if (option.bytes !== true) requireText(value);
        option.set(settings, value, { program, usage, spelling });
      },
      parameter(word) {
        requireText(word);
        if (usage.takeParameter === undefined) {
          throw new MungeError("EMUNGE_SNAFU", complaints.parameter(word));
        }
        usage.takeParameter(settings, word);
      },
    });
  } catch (error) {
    if (!(error instanceof GetoptError)) throw error;
    requireText(error.word);
    throw new MungeError("EMUNGE_SNAFU", complaints[error.problem](error), { cause: error });
  }
}

/** The text of --help. */
function formatHelp(program: string, usage: Usage<never>): string {
  const synopsis = `Usage: ${program} ${usage.synopsis ?? "[OPTIONS]"}\n`;
  const groups = usage.groups.map((group) => group.map(formatOption).join(""));
  const closing = usage.closing === undefined ? [] : [`${usage.closing}\n`];
  return [synopsis, ...groups, ...closing].map((part) => `${part}\n`).join("");
}

/** `  -s, --string=STR          Input payload from string`; the help starts in column 28. */
function formatOption({ short, long, argument, help }: Option<never>): string {
  const names = (short === undefined ? "" : `-${short}, `) + `--${long}` +
    (argument === undefined ? "" : `=${argument}`);
  return `  ${names.padEnd(24)}  ${help}\n`;
}

/**
 * Prints `text` and ends the process with status 0, for options that only inform; like the reference, even if the text
 * can't be written.
 */
export function printAndExit(text: string): never {
  try {
    print(text);
  } finally {
    process.exit(0);
  }
}
