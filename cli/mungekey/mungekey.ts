// mungekey: creates the secret key that all hosts of a realm share. rotation.ts replaces it without downtime.
import { lstatSync } from "node:fs";
import { MAX_KEY_LENGTH, MIN_KEY_LENGTH } from "../../lib/credential/subkeys.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { CONFIG_DIRECTORY } from "../../lib/paths.ts";
import type { GetoptError } from "../command_line/getopt.ts";
import { readInput } from "../command_line/files.ts";
import { replaceFile } from "../../lib/files/replacement.ts";
import { becomeOwnerOf } from "../command_line/owner.ts";
import type { KeyCommand } from "./rotation.ts";
import { type DaemonConfig, keyRotationTime } from "../../daemon/munged/config.ts";
import type { KeyRole } from "../../lib/keys/ring.ts";
import {
  INFORMATION_OPTIONS,
  type Invocation,
  type Option,
  parseOptions,
  UNPROCESSABLE,
  type Usage,
} from "../command_line/options.ts";
import { addition, choice, flag, option, parsed, text } from "../command_line/vocabulary.ts";
import { printError } from "../command_line/print.ts";
import { INT_MAX, refuse, wholeNumber } from "../command_line/values.ts";

const MIN_BITS = 256;
const MAX_BITS = 8192;
const DEFAULT_BITS = 1024;
/** The default path of the key. */
const DEFAULT_KEY_FILE = `${CONFIG_DIRECTORY}/munge.key`;

/** The actions of mungekey. */
type Task = "create" | "stage" | "promote" | "retire" | "list" | "fingerprint";

interface Settings {
  task: Task;
  bits: number;
  force: boolean;
  /** The file with the key for --stage; undefined for new random bytes. */
  from: string | undefined;
  /** Seconds for which a retired key decodes; undefined to use munged's configuration. */
  rotationTime: number | undefined;
  keyFile: string;
  verbose: boolean;
}

/** The command line of mungekey. */
export const USAGE: Usage<Settings> = {
  groups: [
    [choice("-c, --create", "Create keyfile", "task", "create")],
    [
      option("-b, --bits=INT", "Specify number of bits in key being created", setBits),
      flag("-f, --force", "Force keyfile to be overwritten if it exists", "force"),
      text("-k, --keyfile=PATH", `Specify keyfile pathname [${DEFAULT_KEY_FILE}]`, "keyFile"),
      flag("-v, --verbose", "Be verbose", "verbose"),
    ],
    INFORMATION_OPTIONS,
    [
      task("stage", "Stage a new key, which munged accepts as well"),
      addition(
        text("--from=PATH", "Stage the key in this file instead of a random one", "from"),
      ),
      task("promote", "Activate the staged key and retire the active one"),
      task("retire", "Remove the retired key"),
      task("list", "Display keyfile and the staged and retired keys"),
      task("fingerprint", "Display the fingerprint of the active key"),
      addition(
        parsed(
          "--key-rotation-time=SECS",
          "Specify how long a retired key decodes [munged's]",
          "rotationTime",
          parseRotationTime,
        ),
      ),
    ],
  ],
  complaints: {
    invalid: (error) => /^-[^-!-~]/.test(error.word) ? UNPROCESSABLE : invalidOption(error),
    unexpected: invalidOption,
    missing: (error) => `Option "${error.word}" is missing a required argument`,
    parameter: (word) => `Option "${word}" is unrecognized`,
  },
};

function task(name: Task, help: string): Option<Settings> {
  return addition(choice(`--${name}`, help, "task", name));
}

function setBits(settings: Settings, value: string, { spelling }: Invocation): void {
  const bits = wholeNumber(value);
  if (bits === undefined || bits < MIN_BITS || bits > MAX_BITS) {
    refuse(`Option "${spelling}" has invalid value "${value}" (range is ${MIN_BITS}-${MAX_BITS})`);
  }
  settings.bits = Number(bits);
}

function parseRotationTime(value: string): number {
  const time = wholeNumber(value);
  if (time !== undefined && time >= 0n && time <= INT_MAX) return Number(time);
  refuse(`Option "--key-rotation-time" has invalid value "${value}"`);
}

function invalidOption(error: GetoptError): string {
  return `Option "${error.word}" is invalid`;
}

/** Runs mungekey; throws a MungeError for any failure. */
export async function run(program: string, args: readonly string[]): Promise<void> {
  const settings: Settings = {
    task: "create",
    bits: DEFAULT_BITS,
    force: false,
    from: undefined,
    rotationTime: undefined,
    keyFile: DEFAULT_KEY_FILE,
    verbose: false,
  };
  parseOptions(program, USAGE, settings, args);
  if (settings.task === "create") createKey(program, settings);
  else await rotateKey(program, settings.task, settings);
}

function createKey(program: string, settings: Settings): void {
  const key = randomKey(settings);
  try {
    writeKeyFile(settings, key);
  } finally {
    key.fill(0);
  }
  if (settings.verbose) {
    const bits = key.length * 8;
    printError(`${program}: Info: Created "${settings.keyFile}" with ${bits}-bit key\n`);
  }
}

function randomKey({ bits }: Settings): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(Math.ceil(bits / 8)));
}

async function rotateKey(
  program: string,
  task: Exclude<Task, "create">,
  settings: Settings,
): Promise<void> {
  const rotation = await import("./rotation.ts");
  const { from } = settings;
  // Read before this process switches to the key's owner, who might not be able to read it.
  const given = from === undefined ? undefined : readKey(from);
  becomeOwnerOf(settings.keyFile);
  if (task === "fingerprint") return rotation.printFingerprint({ ...settings, program });
  const config = await mungedConfig(settings.rotationTime !== undefined);
  const rotationTime = settings.rotationTime ?? keyRotationTime(config!);
  const command: KeyCommand = { ...settings, program, rotationTime };
  rotation.removeLeftovers(command.keyFile);
  const announce = async (role: KeyRole, fingerprint: string) => {
    if (config === null) return;
    const { announceKey } = await import("./announce.ts");
    announceKey(config, command.keyFile, role, fingerprint);
  };
  switch (task) {
    case "stage":
      return await announce("next", rotation.stageKey(command, () => given ?? randomKey(settings)));
    case "promote":
      return await announce("active", rotation.promoteKey(command));
    case "retire":
      return rotation.retireKey(command);
    case "list":
      return rotation.listKeys(command);
  }
}

/**
 * The configuration of munged on this host, from the environment and its configuration file.
 *
 * @param mayFail whether to return null instead of throwing for an invalid configuration.
 */
async function mungedConfig(mayFail: boolean): Promise<DaemonConfig | null> {
  const { parseConfig } = await import("../munged/munged.ts");
  try {
    return parseConfig("munged", []);
  } catch (error) {
    if (!mayFail) throw error;
    return null;
  }
}

/** A key supplied by the user. */
function readKey(path: string): Uint8Array {
  const key = readInput(path, MAX_KEY_LENGTH);
  if (key.length >= MIN_KEY_LENGTH) return key;
  refuse(`Key must be at least ${MIN_KEY_LENGTH} bytes`);
}

/** Writes the key file with mode 0600, complete and on disk or not at all. */
function writeKeyFile({ keyFile, force }: Settings, key: Uint8Array): void {
  if (force && lstatSync(keyFile, { throwIfNoEntry: false })?.isDirectory()) {
    refuse(`Failed to remove "${keyFile}": Is a directory`);
  }
  try {
    replaceFile(keyFile, key, { mode: 0o600, isNew: !force, isDurable: true });
  } catch (error) {
    refuse(`Failed to create "${keyFile}": ${systemText(error)}`);
  }
}
