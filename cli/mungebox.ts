// mungebox: the executable under its own name, which lists and installs the commands it contains.
import { readlinkSync, renameSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { removeRemains } from "../lib/files/replacement.ts";
import { systemText } from "../lib/os/system_text.ts";
import { APPLETS } from "./applets.ts";
import {
  COMPLAINTS,
  INFORMATION_OPTIONS,
  parseOptions,
  type Usage,
} from "./command_line/options.ts";
import { refuse } from "./command_line/values.ts";
import { flag, parsed, printing } from "./command_line/vocabulary.ts";

interface Settings {
  /** Directory for the links. */
  directory: string | undefined;
  force: boolean;
  auks: boolean;
}

/** The commands that can be called by their own names. */
const LINKS = APPLETS.filter(({ unlinked, auks }) => !unlinked && !auks).map(({ name }) => name);
/** The same for AUKS, which only sites with Kerberos need. */
const AUKS_LINKS = APPLETS.filter(({ auks }) => auks).map(({ name }) => name);

/** The command line of mungebox itself. */
export const USAGE: Usage<Settings> = {
  synopsis: "[OPTIONS] | COMMAND [ARGUMENTS]",
  groups: [
    INFORMATION_OPTIONS,
    [
      printing(
        "--list",
        "Display the commands that --install links",
        () => LINKS.map((name) => `${name}\n`).join(""),
      ),
      parsed(
        "--install=DIR",
        "Link every command to this program in DIR",
        "directory",
        parseDirectory,
      ),
      flag("--auks", "With --install, link AUKS's commands instead", "auks"),
      flag("--force", "Let --install replace files that are not its own", "force"),
    ],
  ],
  closing: `Commands:\n\n${
    APPLETS.map(({ name, summary }) => `  ${name.padEnd(24)}  ${summary}`).join("\n")
  }`,
  complaints: { ...COMPLAINTS, parameter: (word) => `Unknown command "${word}"; ${NAMES}` },
};

const OWN_NAME = "mungebox";
const NAMES = `the commands are ${APPLETS.map(({ name }) => name).join(", ")}`;

function parseDirectory(directory: string): string {
  return directory.startsWith("-") ? refuse(`Missing directory before "${directory}"`) : directory;
}

/** Runs mungebox; throws a MungeError for any failure. */
export function run(program: string, args: readonly string[]): void {
  const settings: Settings = { directory: undefined, force: false, auks: false };
  parseOptions(program, USAGE, settings, args);
  if (settings.directory === undefined) refuse(`Missing command; ${NAMES}`);
  const names = settings.auks ? AUKS_LINKS : LINKS;
  const links = names.map((name) => join(settings.directory!, name));
  for (const link of links) {
    if (!settings.force && isInTheWay(link)) refuse(`Failed to create "${link}": File exists`);
  }
  for (const link of links) install(link);
}

/** Whether a path exists that is not a link to this program or to another version of it. */
function isInTheWay(link: string): boolean {
  try {
    const target = readlinkSync(link);
    return target !== process.execPath && !basename(target).startsWith(OWN_NAME);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EINVAL"; // exists, and is not a link
  }
}

/** Makes a symbolic link to this program, atomically replacing any existing file. */
function install(link: string): void {
  const unfinished = `${link}.${process.pid}`;
  try {
    symlinkSync(process.execPath, unfinished);
    renameSync(unfinished, link);
  } catch (error) {
    removeRemains(unfinished);
    refuse(`Failed to create "${link}": ${systemText(error)}`);
  }
}
