// mungebox: the binary under its own name, which lists and installs the commands it contains.
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { APPLETS } from "./applets.ts";
import { systemText } from "./files.ts";
import {
  COMPLAINTS,
  INFORMATION_OPTIONS,
  parseOptions,
  printAndExit,
  type Usage,
} from "./options.ts";
import { refuse } from "./values.ts";

interface Settings {
  /** Directory to put the links in. */
  directory: string | undefined;
  force: boolean;
}

/** The names by which commands are called without mungebox. */
const LINKS = APPLETS.filter(({ unlinked }) => !unlinked).map(({ name }) => name);

/** The command line of mungebox itself. */
export const USAGE: Usage<Settings> = {
  synopsis: "[OPTIONS] | COMMAND [ARGUMENTS]",
  groups: [
    INFORMATION_OPTIONS,
    [
      {
        long: "list",
        help: "Display the names that --install links",
        set: () => printAndExit(LINKS.map((name) => `${name}\n`).join("")),
      },
      {
        long: "install",
        argument: "DIR",
        help: "Link the name of every command in DIR to this program",
        set: (settings, directory) => {
          settings.directory = directory;
        },
      },
      {
        long: "force",
        help: "Replace files that are in the way of --install",
        set: (settings) => {
          settings.force = true;
        },
      },
    ],
  ],
  closing: `Commands:\n\n${
    APPLETS.map(({ name, summary }) => `  ${name.padEnd(24)}  ${summary}`).join("\n")
  }`,
  complaints: { ...COMPLAINTS, parameter: (word) => `Unknown command "${word}"; ${NAMES}` },
};

const NAMES = `the commands are ${APPLETS.map(({ name }) => name).join(", ")}`;

/** Runs mungebox; throws a MungeError for any failure. */
export function run(program: string, args: readonly string[]): void {
  const settings: Settings = { directory: undefined, force: false };
  parseOptions(program, USAGE, settings, args);
  if (settings.directory === undefined) refuse(`Missing command; ${NAMES}`);
  for (const name of LINKS) install(name, settings.directory, settings.force);
}

/** Makes `directory/name` a symbolic link to this program. */
function install(name: string, directory: string, force: boolean): void {
  const link = join(directory, name);
  try {
    if (force) rmSync(link, { force: true });
    symlinkSync(process.execPath, link);
  } catch (error) {
    refuse(`Failed to create "${link}": ${systemText(error)}`);
  }
}
