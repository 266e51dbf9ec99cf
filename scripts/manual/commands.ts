// The commands as manual pages and completions see them: each with the option table that parses its command
// line and prints its --help.
import { USAGE as AUKS } from "../../cli/auks/auks.ts";
import { USAGE as AUKSD } from "../../cli/auks/auksd.ts";
import { USAGE as AUKSDRENEWER } from "../../cli/auks/auksdrenewer.ts";
import { USAGE as AUKSPRIV } from "../../cli/auks/aukspriv.ts";
import { USAGE as MUNGE } from "../../cli/munge/munge.ts";
import { USAGE as MUNGEBOX } from "../../cli/mungebox.ts";
import { USAGE as MUNGED } from "../../cli/munged/options.ts";
import { USAGE as MUNGEKEY } from "../../cli/mungekey/mungekey.ts";
import type { OptionSyntax } from "../../cli/command_line/getopt.ts";
import { USAGE as REMUNGE } from "../../cli/remunge/options.ts";
import { USAGE as UNMUNGE } from "../../cli/unmunge.ts";

/** The describable part of an option. */
export interface DescribedOption extends OptionSyntax {
  readonly help: string;
}

/** A command with its options in groups. */
export interface Command {
  readonly name: string;
  readonly groups: readonly (readonly DescribedOption[])[];
}

/** Every command of MUNGE that has a name of its own. */
export const COMMANDS: readonly Command[] = [
  { name: "munged", groups: MUNGED.groups },
  { name: "munge", groups: MUNGE.groups },
  { name: "unmunge", groups: UNMUNGE.groups },
  { name: "remunge", groups: REMUNGE.groups },
  { name: "mungekey", groups: MUNGEKEY.groups },
  { name: "mungebox", groups: MUNGEBOX.groups },
];

/** The commands of AUKS, which only sites with Kerberos have. */
export const AUKS_COMMANDS: readonly Command[] = [
  { name: "auksd", groups: AUKSD.groups },
  { name: "auks", groups: AUKS.groups },
  { name: "auksdrenewer", groups: AUKSDRENEWER.groups },
  { name: "aukspriv", groups: AUKSPRIV.groups },
];
