// The functions that option tables are made of, so that a table reads like the help it produces:
// `text("-o, --output=PATH", "Output credential to file", "output")`.
import { argumentBytes } from "./argument_bytes.ts";
import { type Option, printAndExit } from "./options.ts";

/** The keys of `Settings` that take a value of type `T`. */
export type KeyFor<Settings, T> = {
  [K in keyof Settings]-?: T extends Settings[K] ? K : never;
}[keyof Settings];

/**
 * An option with its own action.
 *
 * @param names as shown by --help: `-o, --output=PATH`, or `--realm=NAME`.
 * @param set applies the option; `value` is "" for one without an argument.
 */
export function option<Settings>(
  names: string,
  help: string,
  set: Option<Settings>["set"],
): Option<Settings> {
  const { short, long, argument } = parseNames(names);
  return { short, long, argument, help, set };
}

/** An option without an argument that sets `key` to true. */
export function flag<Settings>(
  names: string,
  help: string,
  key: KeyFor<Settings, true>,
): Option<Settings> {
  return choice(names, help, key, true as Settings[typeof key]);
}

/** An option without an argument that sets `key` to a given value. */
export function choice<Settings, K extends keyof Settings>(
  names: string,
  help: string,
  key: K,
  value: Settings[K],
): Option<Settings> {
  return option(names, help, (settings) => {
    settings[key] = value;
  });
}

/** An option whose argument is stored as it is. */
export function text<Settings>(
  names: string,
  help: string,
  key: KeyFor<Settings, string>,
): Option<Settings> {
  return parsed(names, help, key, (value) => value as Settings[typeof key]);
}

/** An option whose argument is taken as bytes, which need not be UTF-8. */
export function bytes<Settings>(
  names: string,
  help: string,
  key: KeyFor<Settings, Uint8Array>,
): Option<Settings> {
  const take = (value: string) => argumentBytes(value) as Settings[typeof key];
  return { ...parsed(names, help, key, take), bytes: true };
}

/** An option whose argument is the name of a user or group, in any encoding; `parse` gets it with its bytes escaped. */
export function named<Settings, K extends keyof Settings>(
  names: string,
  help: string,
  key: K,
  parse: (name: string) => Settings[K],
): Option<Settings> {
  return { ...parsed(names, help, key, parse), bytes: true };
}

/**
 * An option whose argument is parsed.
 *
 * @param parse returns its meaning. @throws {MungeError} if it is invalid.
 */
export function parsed<Settings, K extends keyof Settings>(
  names: string,
  help: string,
  key: K,
  parse: (value: string) => Settings[K],
): Option<Settings> {
  return option(names, help, (settings, value) => {
    settings[key] = parse(value);
  });
}

/** An option that prints a text and ends the program. */
export function printing(names: string, help: string, print: () => string): Option<unknown> {
  return option(names, help, () => printAndExit(print()));
}

/** Marks an option that the reference does not have. */
export function addition<O extends Option<never>>(option: O): O {
  return { ...option, addition: true };
}

/** Splits `-o, --output=PATH` into its parts. */
export function parseNames(names: string): Pick<Option<never>, "short" | "long" | "argument"> {
  const long = names.indexOf("--") + 2;
  const equals = names.indexOf("=");
  return {
    short: long > 2 ? names[1] : undefined,
    long: names.slice(long, equals < 0 ? names.length : equals),
    argument: equals < 0 ? undefined : names.slice(equals + 1),
  };
}
