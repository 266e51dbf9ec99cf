// Sources of munged's settings besides the command line: a configuration file of KEY=VALUE lines, and the environment.
// Both use the names in the option table, so there is nothing to keep in sync.
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
} from "node:fs";
import { checkFile } from "../../lib/files/security.ts";
import { MungeError } from "../../lib/errors.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { CONFIG_DIRECTORY } from "../../lib/paths.ts";
import { escapeBytes } from "../command_line/argument_bytes.ts";
import type { Option } from "../command_line/options.ts";
import { refuse } from "../command_line/values.ts";

/** The default configuration file, which may be missing. */
export const DEFAULT_CONFIG_FILE = `${CONFIG_DIRECTORY}/munge.conf`;

/** An option that a file and the environment can also set. */
export interface ConfigOption<Settings> extends Option<Settings> {
  /** Valid on a command line only. */
  readonly once?: true;
  /** Its environment variable; `MUNGEBOX_LONG_NAME` if absent. */
  readonly variable?: string;
  /** Undoes a flag. */
  clear?(settings: Settings): void;
  /** The values in force, in the form of the file; none if nothing was set. */
  show?(settings: Settings): string[];
}

/** The source of each option's value, by long name; without defaults. */
export type Sources = Map<string, string>;

/** Our own prefix, because `MUNGE_KEY_FILE`, for example, has another meaning in many container images. */
const VARIABLE_PREFIX = "MUNGEBOX_";

/** The environment variable for an option. */
function variableOf({ long, variable }: ConfigOption<never>): string {
  return variable ?? `${VARIABLE_PREFIX}${long.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Applies a configuration file.
 *
 * @param path undefined for the default file, which may be missing.
 * @param uid of the daemon; only this user and root may have written the file.
 * @throws {MungeError} with file and line for the first mistake.
 */
export function applyFile<Settings>(
  options: readonly ConfigOption<Settings>[],
  settings: Settings,
  sources: Sources,
  path: string | undefined,
  uid: number,
): void {
  const text = readConfigFile(path ?? DEFAULT_CONFIG_FILE, path === undefined, uid);
  text.split("\n").forEach((line, index) => {
    const place = `${path ?? DEFAULT_CONFIG_FILE}:${index + 1}`;
    const content = line.trim();
    if (content === "" || content.startsWith("#")) return;
    const match = /^([^=\s]+)\s*=\s*(.*)$/.exec(content);
    if (match === null) refuse(`${place}: Not of the form KEY=VALUE`);
    const [, key, value = ""] = match;
    const option = configurable(options).find((candidate) =>
      candidate.long === key || variableOf(candidate) === key
    );
    if (option === undefined) refuse(`${place}: Unknown key "${key}"`);
    const parsed = parseValue(value);
    if (parsed?.isWellFormed() === false) refuse(`${place}: "${key}" is not in UTF-8`);
    if (parsed === undefined) refuse(`${place}: Text after a quoted value, or no closing quote`);
    apply(option, settings, parsed, place);
    sources.set(option.long, place);
  });
}

/**
 * A value, without a comment that follows it. In double quotes it may contain anything, with a backslash before `"` and
 * `\`.
 *
 * @returns undefined if the closing quote is missing, or followed by anything but a comment.
 */
export function parseValue(text: string): string | undefined {
  if (!text.startsWith('"')) return text.replace(/(?:^|\s+)#.*$/, "");
  const quoted = /^"((?:[^"\\]|\\.)*)"(?:\s*|\s+#.*)$/.exec(text)?.[1];
  return quoted?.replace(/\\(.)/g, "$1");
}

/** A value as {@linkcode parseValue} takes it. */
export function formatValue(value: string): string {
  return parseValue(value) === value && value.trim() === value
    ? value
    : `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Applies the environment. @throws {MungeError} for the first mistake. */
export function applyEnvironment<Settings>(
  options: readonly ConfigOption<Settings>[],
  settings: Settings,
  sources: Sources,
  environment: Readonly<Record<string, string | undefined>>,
): void {
  for (const option of configurable(options)) {
    const variable = variableOf(option);
    const value = environment[variable];
    if (value === undefined || value === "") continue;
    apply(option, settings, value, `environment variable ${variable}`);
    sources.set(option.long, `environment variable ${variable}`);
  }
}

/** The settings in force, in the form of a configuration file, with the source of each value. */
export function formatSettings<Settings>(
  options: readonly ConfigOption<Settings>[],
  settings: Settings,
  sources: Sources,
): string {
  return configurable(options).map((option) => {
    const source = sources.get(option.long) ?? "default";
    const values = option.show?.(settings) ?? [];
    if (values.length === 0) return `${`# ${option.long}=`.padEnd(47)} # ${source}\n`;
    return values.map((value) =>
      `${`${option.long}=${formatValue(value)}`.padEnd(47)} # ${source}\n`
    ).join("");
  }).join("");
}

function configurable<Settings>(options: readonly ConfigOption<Settings>[]) {
  return options.filter((option) => option.show !== undefined && option.once !== true);
}

const TRUE = ["1", "yes", "true", "on"];
const FALSE = ["0", "no", "false", "off"];

function apply<Settings>(
  option: ConfigOption<Settings>,
  settings: Settings,
  value: string,
  place: string,
): void {
  const invocation = { program: "munged", usage: { groups: [] }, spelling: option.long };
  const word = value.toLowerCase();
  try {
    if (option.argument !== undefined) option.set(settings, value, invocation);
    else if (TRUE.includes(word)) option.set(settings, "", invocation);
    else if (FALSE.includes(word)) option.clear?.(settings);
    else throw new MungeError("EMUNGE_SNAFU", `Invalid value "${value}" for ${option.long}`);
  } catch (error) {
    if (error instanceof MungeError) refuse(`${place}: ${error.message}`);
    throw error;
  }
}

/** The text of a configuration file, if no other user can have written it. */
function readConfigFile(path: string, optional: boolean, uid: number): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    // A directory that this user can't even search, like Debian's /etc/munge, has no settings for this munged.
    if (optional && !existsSync(path)) return "";
    refuse(`Failed to open configuration file "${path}": ${systemText(error)}`);
  }
  try {
    const breach = fileBreach(fstatSync(fd), uid);
    if (breach !== undefined) refuse(`Configuration file is insecure: "${path}" ${breach}`);
    checkFile("config", path, { force: false, trustedGroup: null, uid }, { warning: () => {} });
    return escapeBytes(readFileSync(fd)); // only a comment may have bytes that are not UTF-8
  } catch (error) {
    if (error instanceof MungeError) throw error;
    refuse(`Failed to read configuration file "${path}": ${systemText(error)}`);
  } finally {
    closeSync(fd);
  }
}

function fileBreach(stats: Stats, uid: number): string | undefined {
  if (!stats.isFile()) return "must be a regular file";
  if (stats.uid !== 0 && stats.uid !== uid) {
    return `must be owned by root or UID ${uid} instead of UID ${stats.uid}`;
  }
  if ((stats.mode & 0o022) === 0) return undefined;
  const perms = `0${(stats.mode & 0o777).toString(8).padStart(3, "0")}`;
  return `must not be writable by group or other (perms=${perms})`;
}
