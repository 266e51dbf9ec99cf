// What necessarily differs between two runs, by name: each mask replaces it by the same word on both sides.

import { USAGE as MUNGE } from "../../../cli/munge/munge.ts";
import { USAGE as MUNGED } from "../../../cli/munged/options.ts";
import { USAGE as MUNGEKEY } from "../../../cli/mungekey/mungekey.ts";
import { USAGE as REMUNGE } from "../../../cli/remunge/options.ts";
import { USAGE as UNMUNGE } from "../../../cli/unmunge.ts";

/** Options that only our programs have. */
const ADDITIONS = new Set(
  [MUNGE, MUNGED, MUNGEKEY, REMUNGE, UNMUNGE].flatMap(({ groups }) => groups.flat())
    .filter(({ addition }) => addition).map(({ long }) => long),
);

/** One difference without meaning. */
interface Mask {
  readonly name: string;
  readonly why: string;
  apply(lines: string[]): string[];
}

function replacing(name: string, why: string, pattern: RegExp, replacement: string): Mask {
  return { name, why, apply: (lines) => lines.map((line) => line.replace(pattern, replacement)) };
}

function dropping(name: string, why: string, pattern: RegExp): Mask {
  return { name, why, apply: (lines) => lines.filter((line) => !pattern.test(line)) };
}

/** Every mask, in the order they are applied. */
export const MASKS: readonly Mask[] = [
  replacing("date", "the time of day", /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "DATE"),
  replacing("clock", "seconds since 1970", /\b1[789]\d{8}\b/g, "CLOCK"),
  replacing("seconds", "durations", /\bin \d+\.\d{3}( seconds?|s)\b/g, "in N$1"),
  replacing("rate", "credentials per second", /\b\d+ creds\/sec/g, "RATE creds/sec"),
  replacing("pid", "process IDs", /\b(pid|PID) \d+/g, "$1 PID"),
  replacing("syslog pid", "process IDs", /^(heard> <\d+> munged)\[\d+\]/, "$1[PID]"),
  dropping("syslog debug", "the reference logs its buffers to syslog", /^heard> <31> /),
  replacing("pid file", "process IDs", /^(\S*pid> )\d+$/, "$1PID"),
  replacing("credential", "each one is new", /MUNGE:[A-Za-z0-9+/=]+:/g, "MUNGE:...:"),
  replacing(
    "version",
    "the version differs",
    /munge-0\.5\.\d+( \(.*\))?/,
    "munge-VERSION",
  ),
  dropping(
    "refusals",
    "ours logs one more line per refusal, with the cause and the parties",
    /^\S+> DATE .*Refused (en|de)code: /,
  ),
  dropping(
    "replay cache",
    "ours keeps it in a directory beside the seed file, the reference in memory",
    /^file .* \S+\.replay(\/.*)?$|^\S+\.replay\//,
  ),
  {
    name: "additional options",
    why: "our --help also shows options that the reference does not have",
    apply(lines) {
      const isAddition = (line: string) =>
        ADDITIONS.has(/^1> {3}.{0,4}--([a-z-]+)/.exec(line)?.[1] ?? "");
      const kept = lines.filter((line) => !isAddition(line));
      // A group of additions only would leave its blank line behind.
      return kept.length === lines.length
        ? kept
        : kept.filter((line, index) => line !== "1> " || kept[index + 1] !== "1> ");
    },
  },
  dropping(
    "short run",
    "whether remunge warns about one depends on the machine",
    /^1> (WARNING: Results based on such a short time interval are of low accuracy)?$/,
  ),
  dropping("audit", "ours also logs whom it refused", /Refused decode: cause=/),
  dropping("realm", "ours has realms, and unmunge has a metadata key for them", /^1> {3}REALM$/),
  dropping(
    "group map",
    "a separate thread reports when it is built, which may be at any time, or never if the start fails",
    /^(2>|\S+> DATE|heard>) .*Found \d+ users? with supplementary groups/,
  ),
];

/** Masks everything in `lines` that necessarily differs. */
export function mask(lines: readonly string[]): string[] {
  return MASKS.reduce((masked, { apply }) => apply(masked), [...lines]);
}
