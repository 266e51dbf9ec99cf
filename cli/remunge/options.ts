// The command line of remunge.
import { INFORMATION_OPTIONS, type Option, type Usage } from "../command_line/options.ts";
import {
  COUNT_UNITS,
  ENCODE_DEFAULTS,
  type EncodeSettings,
  INT_MAX,
  leadingNumber,
  refuse,
  RESTRICT_GID_OPTION,
  RESTRICT_UID_OPTION,
  SOCKET_OPTION,
  TTL_OPTION,
  TYPE_OPTIONS,
  ULONG_MAX,
} from "../command_line/values.ts";
import { choice, flag, parsed } from "../command_line/vocabulary.ts";

/** What a run of remunge does. */
export interface Settings extends EncodeSettings {
  decode: boolean;
  quiet: boolean;
  /** Bytes in the payload. */
  length: number;
  /** Seconds, or undefined for no limit. */
  duration: number | undefined;
  /** Number of credentials to make, or undefined for no limit. */
  limit: bigint | undefined;
  threads: number;
  /** Seconds after which a request causes a warning. */
  warnTime: number;
}

/** The settings without any option. */
export const DEFAULTS: Readonly<Settings> = {
  ...ENCODE_DEFAULTS,
  decode: false,
  quiet: false,
  length: 0,
  duration: undefined,
  limit: undefined,
  threads: 1,
  warnTime: 5,
};

/** Maximum number of threads; each is a complete JavaScript engine. */
const MAX_THREADS = 256n;

const DURATION_UNITS: Readonly<Record<string, bigint>> = {
  s: 1n,
  S: 1n,
  m: 60n,
  M: 60n,
  h: 3600n,
  H: 3600n,
  d: 86_400n,
  D: 86_400n,
};

/** A kind of number followed by a unit, and its names in error messages. */
interface Quantity {
  /** "number of credentials" */
  readonly name: string;
  /** "number" or "duration", for the unit. */
  readonly unitName: string;
  readonly units: Readonly<Record<string, bigint>>;
  readonly minimum: bigint;
  readonly maximum: bigint;
  /** What is counted, for the maximum. */
  readonly counted: string;
}

const CREDENTIALS: Quantity = {
  name: "number of credentials",
  unitName: "number",
  units: COUNT_UNITS,
  minimum: 1n,
  maximum: ULONG_MAX,
  counted: "credentials",
};
const BYTES: Quantity = {
  name: "number of bytes",
  unitName: "number",
  units: COUNT_UNITS,
  minimum: 0n,
  maximum: INT_MAX,
  counted: "bytes",
};
const DURATION: Quantity = {
  name: "duration",
  unitName: "duration",
  units: DURATION_UNITS,
  minimum: 1n,
  maximum: INT_MAX,
  counted: "seconds",
};
const THREADS: Quantity = {
  name: "number of threads",
  unitName: "number",
  units: {},
  minimum: 1n,
  maximum: MAX_THREADS,
  counted: "threads",
};
const WARN_TIME: Quantity = {
  name: "number of seconds",
  unitName: "number",
  units: {},
  minimum: 1n,
  maximum: INT_MAX,
  counted: "seconds",
};

function parseQuantity(quantity: Quantity, value: string): bigint {
  const { name, unitName, units, minimum, maximum, counted } = quantity;
  const parsed = leadingNumber(value);
  const unitsExpected = Object.keys(units).length > 0;
  const tail = parsed?.rest ?? "";
  if (parsed === undefined || parsed.number < minimum || tail.length > (unitsExpected ? 1 : 0)) {
    refuse(`Invalid ${name} '${value}'`);
  }
  const unit = tail === "" ? 1n : units[tail] ?? refuse(`Invalid ${unitName} specifier '${tail}'`);
  const number = parsed.number * unit;
  if (number > maximum) {
    const what = name === "duration" ? "duration" : "number";
    refuse(`Exceeded maximum ${what} of ${maximum} ${counted}`);
  }
  return number;
}

/** `-1` means no limit where the help says so. */
const orUnlimited = (quantity: Quantity, most: bigint) => (value: string) =>
  value === "-1" ? most : parseQuantity(quantity, value);

/** The command line of remunge. */
export const USAGE: Usage<Settings> = {
  groups: [
    [
      ...INFORMATION_OPTIONS,
      flag("-q, --quiet", "Display only the creds/sec numeric result", "quiet"),
    ],
    TYPE_OPTIONS,
    [
      choice("-e, --encode", "Encode (but do not decode) each credential", "decode", false),
      choice("-d, --decode", "Encode and decode each credential", "decode", true),
      count("-l, --length=BYTES", "Specify payload length (in bytes)", "length", BYTES),
      RESTRICT_UID_OPTION,
      RESTRICT_GID_OPTION,
      TTL_OPTION,
      SOCKET_OPTION,
    ],
    [
      parsed(
        "-D, --duration=SECS",
        "Specify test duration (in seconds; -1=max)",
        "duration",
        (value) => Number(orUnlimited(DURATION, INT_MAX)(value)),
      ),
      parsed(
        "-N, --num-creds=INT",
        "Specify number of credentials to generate",
        "limit",
        orUnlimited(CREDENTIALS, ULONG_MAX),
      ),
      count("-T, --num-threads=INT", "Specify number of threads to spawn", "threads", THREADS),
      count(
        "-W, --warn-time=SECS",
        "Specify max seconds for munge op before warning",
        "warnTime",
        WARN_TIME,
      ),
    ],
  ],
};

function count(
  names: string,
  help: string,
  key: "length" | "threads" | "warnTime",
  quantity: Quantity,
): Option<Settings> {
  return parsed(names, help, key, (value) => Number(parseQuantity(quantity, value)));
}
