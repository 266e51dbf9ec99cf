// mungekey: creates the secret key that all hosts of a realm share.
import { fchmodSync, lstatSync } from "node:fs";
import type { GetoptError } from "./getopt.ts";
import { abandonReplacement, commitReplacement, createReplacement, systemText } from "./files.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "./options.ts";
import { printError, writeWhole } from "./print.ts";
import { refuse, wholeNumber } from "./values.ts";

const MIN_BITS = 256;
const MAX_BITS = 8192;
const DEFAULT_BITS = 1024;
/** Where the key is unless told otherwise. */
const DEFAULT_KEY_FILE = "/etc/munge/munge.key";

interface Settings {
  bits: number;
  force: boolean;
  keyFile: string;
  verbose: boolean;
}

/** The command line of mungekey. */
export const USAGE: Usage<Settings> = {
  groups: [
    [{
      short: "c",
      long: "create",
      help: "Create keyfile",
      set: () => {}, // there is nothing else that mungekey could do
    }],
    [
      {
        short: "b",
        long: "bits",
        argument: "INT",
        help: "Specify number of bits in key being created",
        set: (settings, value) => {
          const bits = wholeNumber(value);
          if (bits === undefined || bits < MIN_BITS || bits > MAX_BITS) {
            refuse(`Option "-b" has invalid value "${value}" (range is ${MIN_BITS}-${MAX_BITS})`);
          }
          settings.bits = Number(bits);
        },
      },
      {
        short: "f",
        long: "force",
        help: "Force keyfile to be overwritten if it exists",
        set: (settings) => {
          settings.force = true;
        },
      },
      {
        short: "k",
        long: "keyfile",
        argument: "PATH",
        help: `Specify keyfile pathname [${DEFAULT_KEY_FILE}]`,
        set: (settings, path) => {
          settings.keyFile = path;
        },
      },
      {
        short: "v",
        long: "verbose",
        help: "Be verbose",
        set: (settings) => {
          settings.verbose = true;
        },
      },
    ],
    INFORMATION_OPTIONS,
  ],
  complaints: {
    invalid: invalidOption,
    unexpected: invalidOption,
    missing: (error) => `Option "${error.word}" is missing a required argument`,
    parameter: (word) => `Option "${word}" is unrecognized`,
  },
};

function invalidOption(error: GetoptError): string {
  return `Option "${error.word}" is invalid`;
}

/** Runs mungekey; throws a MungeError for any failure. */
export function run(program: string, args: readonly string[]): void {
  const settings: Settings = {
    bits: DEFAULT_BITS,
    force: false,
    keyFile: DEFAULT_KEY_FILE,
    verbose: false,
  };
  parseOptions(program, USAGE, settings, args);
  const key = new Uint8Array(Math.ceil(settings.bits / 8));
  try {
    crypto.getRandomValues(key);
    writeKeyFile(settings, key);
  } finally {
    key.fill(0);
  }
  if (settings.verbose) {
    const bits = key.length * 8;
    printError(`${program}: Info: Created "${settings.keyFile}" with ${bits}-bit key\n`);
  }
}

/** Writes the key file with mode 0600, whole and on disk or not at all. */
function writeKeyFile({ keyFile, force }: Settings, key: Uint8Array): void {
  if (force && lstatSync(keyFile, { throwIfNoEntry: false })?.isDirectory()) {
    refuse(`Failed to remove "${keyFile}": Is a directory`);
  }
  try {
    const replacement = createReplacement(keyFile, 0o600);
    try {
      fchmodSync(replacement.fd, 0o600); // whatever the umask took away
      writeWhole(replacement.fd, key);
    } catch (error) {
      abandonReplacement(replacement);
      throw error;
    }
    commitReplacement(replacement, !force);
  } catch (error) {
    refuse(`Failed to create "${keyFile}": ${systemText(error)}`);
  }
}
