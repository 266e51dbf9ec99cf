// The command-line grammar of GNU getopt_long: options and parameters in any order, clustered short options,
// `--long=value` and `--long value`, unambiguous abbreviations, and `--`. node:util's parseArgs has no abbreviations and
// reports mistakes in a different order.

/** The part of an option that getopt needs. */
export interface OptionSyntax {
  /** One ASCII letter, without the dash. */
  readonly short?: string | undefined;
  /** Long name, without the dashes. */
  readonly long: string;
  /** Name of the required argument in help texts, such as `PATH`; absent for an option without one. */
  readonly argument?: string | undefined;
  /** Whether the argument may be any bytes, not only UTF-8. */
  readonly bytes?: true;
  /** Set if the reference lacks the option; abbreviations of the reference's options keep their meaning. */
  readonly addition?: true;
}

/** Handlers for the words of a command line. */
export interface Visitor<O extends OptionSyntax> {
  /** An option with its argument, "" if it takes none, and its name as the user wrote it. */
  option(option: O, value: string, spelling: string): void;
  /** A word that is not an option. */
  parameter(word: string): void;
}

/** Kinds of mistakes on a command line. */
export type GetoptProblem = "invalid" | "unexpected" | "missing";

/** A word of the command line that getopt refuses. */
export class GetoptError extends Error {
  override readonly name = "GetoptError";
  /** invalid: unknown or ambiguous; unexpected: an argument for an option without one; missing: no argument. */
  readonly problem: GetoptProblem;
  /** The offending option as the user wrote it: `-x`, `--foo`, `--force=x`. */
  readonly word: string;
  /** The option's short form, such as `-n`, if it has one, otherwise {@linkcode word}. */
  readonly option: string;

  constructor(problem: GetoptProblem, word: string, option: OptionSyntax | undefined) {
    super(`${problem} option ${word}`);
    this.problem = problem;
    this.word = word;
    this.option = option?.short === undefined ? word : `-${option.short}`;
  }
}

/**
 * Walks a command line as GNU getopt_long does, so that an option takes effect before a mistake further right is noticed.
 * Parameters come after all options (permutation). It is not a generator, because creating the first one would cost each
 * command a tenth of a millisecond.
 *
 * @param options all options.
 * @param args the words after the program's name.
 * @param visitor handles each; anything it throws ends the walk.
 * @throws {GetoptError} when the walk reaches an invalid option.
 */
export function getopt<O extends OptionSyntax>(
  options: readonly O[],
  args: readonly string[],
  visitor: Visitor<O>,
): void {
  const parameters: string[] = [];
  let index = 0;
  while (index < args.length) {
    const word = args[index++]!;
    if (word === "--") {
      parameters.push(...args.slice(index));
      break;
    }
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const spelling = equals < 0 ? word : word.slice(0, equals);
      const option = findLong(options, spelling.slice(2));
      if (option === undefined) throw new GetoptError("invalid", word, undefined);
      if (option.argument === undefined) {
        if (equals >= 0) throw new GetoptError("unexpected", word, option);
        visitor.option(option, "", spelling);
      } else if (equals >= 0) {
        visitor.option(option, word.slice(equals + 1), spelling);
      } else {
        const value = args[index++];
        if (value === undefined) throw new GetoptError("missing", word, undefined);
        visitor.option(option, value, spelling);
      }
    } else if (word.startsWith("-") && word !== "-") {
      let cluster = word.slice(1);
      while (cluster !== "") {
        const letter = String.fromCodePoint(cluster.codePointAt(0)!);
        cluster = cluster.slice(letter.length);
        const option = findShort(options, letter);
        const spelling = `-${letter}`;
        if (option === undefined) throw new GetoptError("invalid", spelling, undefined);
        if (option.argument === undefined) {
          visitor.option(option, "", spelling);
          continue;
        }
        const value = cluster === "" ? args[index++] : cluster;
        if (value === undefined) throw new GetoptError("missing", spelling, option);
        visitor.option(option, value, spelling);
        break;
      }
    } else {
      parameters.push(word);
    }
  }
  for (const parameter of parameters) visitor.parameter(parameter);
}

// Loops, because the engine compiles find() and filter() on their first call, which takes another tenth of a millisecond.

function findShort<O extends OptionSyntax>(options: readonly O[], letter: string): O | undefined {
  for (const option of options) {
    if (option.short === letter) return option;
  }
  return undefined;
}

/** The option with this long name, or with an unambiguous abbreviation of it. */
function findLong<O extends OptionSyntax>(options: readonly O[], name: string): O | undefined {
  const originals: O[] = [];
  const additions: O[] = [];
  for (const option of options) {
    if (option.long === name) return option;
    if (!option.long.startsWith(name)) continue;
    (option.addition === true ? additions : originals).push(option);
  }
  const candidates = originals.length > 0 ? originals : additions;
  return candidates.length === 1 ? candidates[0] : undefined;
}
