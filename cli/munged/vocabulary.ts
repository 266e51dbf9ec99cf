// The functions that munged's option table is made of: those of all tables, plus what a configuration file and
// --check-config need to know about an option.
import { DEFAULTS, resolvePath } from "../../daemon/munged/config.ts";
import { MungeError } from "../../lib/errors.ts";
import { COUNT_UNITS, leadingNumber, parseGroup, wholeNumber } from "../command_line/values.ts";
import * as base from "../command_line/vocabulary.ts";
import { addition, type KeyFor } from "../command_line/vocabulary.ts";
import type { MungedOption, Settings, Task } from "./settings.ts";

/** An option that is valid on a command line only. */
export function once(option: MungedOption): MungedOption {
  return { ...option, once: true };
}

/** An option that also shows its values in force, in the format of the file, for --check-config. */
export function shown(option: MungedOption, show: (settings: Settings) => string[]): MungedOption {
  return { ...option, show };
}

/** An option that makes munged do something other than serve. */
export function task(name: Task, help: string): MungedOption {
  return addition(once(base.choice(`--${name}`, help, "task", name)));
}

/** An option that is on or off. */
export function flag(names: string, help: string, key: KeyFor<Settings, boolean>): MungedOption {
  return {
    ...shown(base.flag(names, help, key), (settings) => [settings[key] ? "yes" : "no"]),
    clear: (settings) => {
      settings[key] = false;
    },
  };
}

/** An option that names a file or directory. */
export function path(
  names: string,
  help: string,
  key:
    | "socketPath"
    | "keyFile"
    | "logFile"
    | "metricsFile"
    | "pidFile"
    | "realmDir"
    | "replayDir"
    | "replayStoreCaFile"
    | "replayStorePasswordFile"
    | "seedFile",
): MungedOption {
  return shown(
    base.parsed(names, help, key, (value) => resolvePath(value)),
    (settings) => typeof settings[key] === "string" ? [settings[key]] : [],
  );
}

/** An option that is a number in some range. */
export function number(
  names: string,
  help: string,
  { key, min, max }: {
    key:
      | "maxTtl"
      | "defaultTtl"
      | "numThreads"
      | "listenBacklog"
      | "groupUpdateTime"
      | "replaySync"
      | "replayStoreReplicas"
      | "replayStoreTimeout";
    min: number;
    max: number;
  },
): MungedOption {
  const { long } = base.parseNames(names);
  return shown(
    base.parsed(
      names,
      `${help} [${DEFAULTS[key]}]`,
      key,
      (value) => integer(long, value, min, max),
    ),
    (settings) => [`${settings[key]}`],
  );
}

/** An option that is a number of bytes, which a unit may follow. */
export function size(
  names: string,
  help: string,
  { key, min, max }: { key: "maxPayload"; min: number; max: number },
): MungedOption {
  const { long } = base.parseNames(names);
  return shown(
    base.parsed(names, help, key, (value) => {
      const { number = 0n, rest = "" } = leadingNumber(value) ?? {};
      const unit = rest === "" ? 1n : COUNT_UNITS[rest] ?? 0n;
      const bytes = number * unit;
      if (bytes < min || bytes > max) throw invalid(long, value);
      return Number(bytes);
    }),
    (settings) => [`${settings[key]}`],
  );
}

/** An option that is one of a few words. */
export function word<K extends "logFormat" | "replayStorePolicy">(
  names: string,
  help: string,
  key: K,
  words: readonly Settings[K][],
): MungedOption {
  const { long } = base.parseNames(names);
  const parse = (value: string) => oneOf(long, value, words);
  return shown(
    base.parsed(names, `${help}: ${words.join(" or ")} [${DEFAULTS[key]}]`, key, parse),
    (settings) => [settings[key]],
  );
}

/** Seconds, at least 0, with a default that is not a number. */
export function seconds(
  names: string,
  help: string,
  { key, max }: { key: "keyRotationTime" | "timestampDriftMax"; max: number },
): MungedOption {
  const { long } = base.parseNames(names);
  return addition(shown(
    base.parsed(names, help, key, (value) => integer(long, value, 0, max)),
    (settings) => settings[key] === null ? [] : [`${settings[key]}`],
  ));
}

/** The number that the whole of `value` represents, parsed like strtol(). */
export function integer(option: string, value: string, min: number, max: number): number {
  const result = wholeNumber(value);
  if (result === undefined || result < min || result > max) throw invalid(option, value);
  return Number(result);
}

/** Which of the words `word` is; it is the whole value or a part of it. */
export function oneOf<Word extends string>(
  option: string,
  value: string,
  words: readonly Word[],
  word: string = value,
): Word {
  const found = words.find((each) => each === word);
  if (found === undefined) throw invalid(option, value);
  return found;
}

/** A GID, from a group's name or number. */
export function group(option: string, value: string): number {
  try {
    return parseGroup(value);
  } catch (error) {
    throw invalid(option, value, error);
  }
}

/** The error for a value that an option does not accept. */
export function invalid(option: string, value: string, cause?: unknown): MungeError {
  return new MungeError("EMUNGE_SNAFU", `Invalid value "${value}" for ${option}`, { cause });
}
