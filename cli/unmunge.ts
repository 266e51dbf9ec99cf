// unmunge: checks a credential and prints its metadata and payload.
import { resolve } from "node:path";
import { CIPHERS } from "../lib/credential/cipher.ts";
import { ERRNO, errorCode, errorText, MungeError } from "../lib/errors.ts";
import { MACS } from "../lib/credential/mac.ts";
import {
  ANY_ID,
  type DecodeResponse,
  MAX_REQUEST_LENGTH,
  maxMessageLength,
} from "../lib/protocol/message.ts";
import { BlockingClient } from "../lib/client/blocking_client.ts";
import { hostName } from "../lib/os/hosts.ts";
import { formatLocalTime } from "../lib/os/local_time.ts";
import { ignoreHangup } from "../lib/os/standard_streams.ts";
import { systemText } from "../lib/os/system_text.ts";
import { printable } from "../lib/printable.ts";
import { type Group, groupById, type User, userById } from "../lib/os/users.ts";
import { DEFAULT_SOCKET } from "../lib/paths.ts";
import { ZIPS } from "../lib/credential/zip.ts";
import { argumentBytes, escapeBytes, printableBytes } from "./command_line/argument_bytes.ts";
import { Output, readInput, refuseSameFile, WriteError } from "./command_line/files.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "./command_line/options.ts";
import { refuse, SOCKET_OPTION } from "./command_line/values.ts";
import { flag, option, printing, text } from "./command_line/vocabulary.ts";

interface Settings {
  input: string;
  /** Path, or undefined to discard it. */
  metadata: string | undefined;
  /** Path, or undefined to discard it. */
  payload: string | undefined;
  /** Names of the keys to print; undefined for all. */
  keys: Set<string> | undefined;
  numeric: boolean;
  /** Errors to treat as success. */
  ignored: Set<number>;
  socket: string;
}

/** One line of the metadata. */
interface MetadataKey {
  readonly name: string;
  /** The number that --numeric prints, and that otherwise appears in parentheses; undefined omits the line. */
  numeric(response: DecodeResponse): string | number | undefined;
  /** The meaning of the number, if it has one; undefined if unknown. */
  text?(response: DecodeResponse): string | undefined;
}

const TIME_FORMAT = "%Y-%m-%d %H:%M:%S %z";

/** The results that come with the credential's contents. */
const OPENED: ReadonlySet<number> = new Set([
  0,
  ERRNO.EMUNGE_CRED_EXPIRED,
  ERRNO.EMUNGE_CRED_REWOUND,
  ERRNO.EMUNGE_CRED_REPLAYED,
]);

/** The metadata in printing order. */
const METADATA_KEYS: readonly MetadataKey[] = [
  { name: "STATUS", numeric: (r) => r.errno, text: (r) => errorText(r.errno) },
  {
    name: "ENCODE_HOST",
    numeric: (r) => originAddress(r).join("."),
    text: (r) => hostName(originAddress(r)),
  },
  {
    name: "ENCODE_TIME",
    numeric: (r) => r.encodeTime,
    text: (r) => formatLocalTime(r.encodeTime, TIME_FORMAT),
  },
  {
    name: "DECODE_TIME",
    numeric: (r) => r.decodeTime,
    text: (r) => formatLocalTime(r.decodeTime, TIME_FORMAT),
  },
  { name: "TTL", numeric: (r) => r.ttl },
  { name: "CIPHER", numeric: (r) => r.cipher, text: (r) => CIPHERS[r.cipher]?.name },
  { name: "MAC", numeric: (r) => r.mac, text: (r) => MACS[r.mac]?.name },
  { name: "ZIP", numeric: (r) => r.zip, text: (r) => ZIPS[r.zip]?.name },
  { name: "REALM", numeric: (r) => r.realm === "" ? undefined : r.realm },
  { name: "UID", numeric: (r) => r.uid, text: (r) => nameOf(userById(r.uid)) },
  { name: "GID", numeric: (r) => r.gid, text: (r) => nameOf(groupById(r.gid)) },
  {
    name: "UID_RESTRICTION",
    numeric: (r) => r.uidRestriction === ANY_ID ? undefined : r.uidRestriction,
    text: (r) => nameOf(userById(r.uidRestriction)),
  },
  {
    name: "GID_RESTRICTION",
    numeric: (r) => r.gidRestriction === ANY_ID ? undefined : r.gidRestriction,
    text: (r) => nameOf(groupById(r.gidRestriction)),
  },
  { name: "LENGTH", numeric: (r) => r.payload.length },
];

/** The name of a user or group, with bytes that are not UTF-8 kept. */
function nameOf(found: User | Group | undefined): string | undefined {
  return found && escapeBytes(found.nameBytes);
}

/** The IPv4 address of the encoding host; 0.0.0.0 for a credential without one. */
function originAddress({ originAddress }: DecodeResponse): Uint8Array {
  return originAddress.length === 4 ? originAddress : new Uint8Array(4);
}

/** The command line of unmunge. */
export const USAGE: Usage<Settings> = {
  groups: [
    INFORMATION_OPTIONS,
    [
      text("-i, --input=PATH", "Input credential from file", "input"),
      option("-n, --no-output", "Discard all output", (settings) => {
        settings.metadata = undefined;
        settings.payload = undefined;
      }),
      text("-m, --metadata=PATH", "Output metadata to file", "metadata"),
      text("-o, --output=PATH", "Output payload to file", "payload"),
    ],
    [
      option("-k, --keys=STR", "Specify subset of metadata keys to output", addKeys),
      printing("-K, --list-keys", "Display list of metadata keys", listKeys),
      flag("-N, --numeric", "Display metadata values numerically", "numeric"),
      SOCKET_OPTION,
    ],
    [
      option("--ignore-ttl", "Ignore expired, rewound, and replayed errors", ({ ignored }) => {
        for (const errno of OPENED) ignored.add(errno);
      }),
      option("--ignore-replay", "Ignore replayed errors", ({ ignored }) => {
        ignored.add(ERRNO.EMUNGE_CRED_REPLAYED);
      }),
    ],
  ],
  closing: "By default, credential read from stdin, metadata & payload written to stdout.",
};

function addKeys(settings: Settings, value: string): void {
  settings.keys ??= new Set();
  for (const name of value.toUpperCase().split(/[ \t\n,;.]+/)) settings.keys.add(name);
}

function listKeys(): string {
  return `Metadata keys:\n\n${METADATA_KEYS.map(({ name }) => `  ${name}\n`).join("")}\n`;
}

/** Runs unmunge. Returns the credential's status; throws a MungeError if there is no credential to print. */
export function run(program: string, args: readonly string[]): number {
  const settings: Settings = {
    input: "-",
    metadata: "-",
    payload: "-",
    keys: undefined,
    numeric: false,
    ignored: new Set(),
    socket: DEFAULT_SOCKET,
  };
  parseOptions(program, USAGE, settings, args);
  ignoreHangup();
  const paths = [settings.metadata, settings.payload];
  for (const path of paths) {
    if (path !== undefined) refuseSameFile(settings.input, path);
  }
  const credential = readCredential(settings);
  const outputs = openOutputs(settings);
  let response: DecodeResponse;
  try {
    response = decode(settings, credential);
  } catch (error) {
    for (const output of new Set(Object.values(outputs))) output?.abandon();
    throw error;
  }
  const errno = settings.ignored.has(response.errno) ? ERRNO.EMUNGE_SUCCESS : response.errno;
  write(outputs, settings, { ...response, errno });
  return errno;
}

/** The credential in a file, which ends at the first NUL, as in C. */
function readCredential({ input, socket }: Settings): Uint8Array {
  const askLimit = () => maxMessageLength(new BlockingClient(socket).maxPayload());
  const bytes = readInput(input, MAX_REQUEST_LENGTH, askLimit);
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Asks munged to open the credential. @throws {MungeError} if it does not return the contents. */
function decode({ socket }: Settings, credential: Uint8Array): DecodeResponse {
  if (credential.length === 0) throw new MungeError("EMUNGE_BAD_ARG", "No credential specified");
  const response = new BlockingClient(socket).decode({ credential });
  if (OPENED.has(response.errno)) return response;
  throw new MungeError(
    errorCode(response.errno),
    printable(response.errorText) || errorText(response.errno),
  );
}

/** The outputs for metadata and payload; the same output if their paths are the same. */
interface Outputs {
  metadata: Output | undefined;
  payload: Output | undefined;
}

function openOutputs({ metadata, payload }: Settings): Outputs {
  const first = metadata === undefined ? undefined : new Output(metadata);
  if (payload === undefined) return { metadata: first, payload: undefined };
  const shared = metadata !== undefined && resolve(metadata) === resolve(payload) &&
    (metadata === "-") === (payload === "-");
  try {
    return { metadata: first, payload: shared ? first : new Output(payload) };
  } catch (error) {
    first?.abandon();
    throw error;
  }
}

/**
 * Writes the metadata, then the payload, after an empty line if they share an output. If one fails, the other is
 * still written.
 */
function write({ metadata, payload }: Outputs, settings: Settings, response: DecodeResponse): void {
  // Without an output, there is no need to wait for the name service.
  const text = argumentBytes(metadata === undefined ? "" : formatMetadata(settings, response));
  const failures: string[] = [];
  const attempt = (what: string, output: Output | undefined, bytes: Uint8Array) => {
    try {
      output?.write(bytes);
      output?.close();
    } catch (error) {
      failures.push(
        error instanceof WriteError
          ? "Write error"
          : `Failed to close ${what} output file: ${systemText(error)}`,
      );
    }
  };
  if (metadata !== undefined && metadata === payload) {
    attempt("metadata", metadata, Buffer.concat([text, Buffer.from("\n"), response.payload]));
  } else {
    attempt("metadata", metadata, text);
    attempt("payload", payload, response.payload);
  }
  if (failures[0] !== undefined) refuse(failures[0]);
}

/** Lines of the form `KEY:  text (number)`, with values in column 17. */
function formatMetadata({ keys, numeric }: Settings, response: DecodeResponse): string {
  return METADATA_KEYS.map((key) => {
    if (keys !== undefined && !keys.has(key.name)) return "";
    const number = key.numeric(response);
    // A key that only our munged has is printed whenever it is requested by name.
    if (number === undefined) return key.name === "REALM" && keys !== undefined ? "REALM:\n" : "";
    const value = numeric || key.text === undefined
      ? number
      : `${key.text(response) ?? "???"} (${number})`;
    return `${`${key.name}:`.padEnd(16)} ${printableBytes(`${value}`)}\n`;
  }).join("");
}
