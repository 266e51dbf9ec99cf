// munge: turns a payload into a credential.
import { CIPHER_DEFAULT } from "../lib/cipher.ts";
import { MAC_DEFAULT } from "../lib/mac.ts";
import { ANY_ID, MAX_PAYLOAD_LENGTH, TTL_DEFAULT } from "../lib/message.ts";
import { BlockingClient } from "../lib/os/blocking_client.ts";
import { DEFAULT_SOCKET } from "../lib/retry.ts";
import { ZIP_DEFAULT } from "../lib/zip.ts";
import { Output, readInput, refuseSameFile, systemText } from "./files.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "./options.ts";
import {
  type EncodeSettings,
  parseGroup,
  parseUser,
  refuse,
  RESTRICT_GID_OPTION,
  RESTRICT_UID_OPTION,
  SOCKET_OPTION,
  TTL_OPTION,
  TYPE_OPTIONS,
} from "./values.ts";

interface Settings extends EncodeSettings {
  /** Where the payload comes from: bytes given on the command line, or a file. */
  payload: Uint8Array | { path: string };
  output: string;
  /** Identity to take on first. */
  uid: number | undefined;
  gid: number | undefined;
}

/** The command line of munge. */
export const USAGE: Usage<Settings> = {
  groups: [
    INFORMATION_OPTIONS,
    [
      {
        short: "n",
        long: "no-input",
        help: "Discard all input for payload",
        set: (settings) => {
          settings.payload = new Uint8Array(0);
        },
      },
      {
        short: "s",
        long: "string",
        argument: "STR",
        help: "Input payload from string",
        set: (settings, value) => {
          settings.payload = new TextEncoder().encode(value);
        },
      },
      {
        short: "i",
        long: "input",
        argument: "PATH",
        help: "Input payload from file",
        set: (settings, path) => {
          settings.payload = { path };
        },
      },
      {
        short: "o",
        long: "output",
        argument: "PATH",
        help: "Output credential to file",
        set: (settings, path) => {
          settings.output = path;
        },
      },
    ],
    TYPE_OPTIONS,
    [
      RESTRICT_UID_OPTION,
      {
        short: "U",
        long: "uid",
        argument: "UID",
        help: "Specify credential user/UID",
        set: (settings, value) => {
          settings.uid = parseUser(value);
        },
      },
      RESTRICT_GID_OPTION,
      {
        short: "G",
        long: "gid",
        argument: "GID",
        help: "Specify credential group/GID",
        set: (settings, value) => {
          settings.gid = parseGroup(value);
        },
      },
      TTL_OPTION,
      SOCKET_OPTION,
    ],
  ],
  closing: "By default, payload read from stdin, credential written to stdout.",
};

/** Runs munge; throws a MungeError for any failure. */
export function run(program: string, args: readonly string[]): void {
  const settings: Settings = {
    payload: { path: "-" },
    output: "-",
    uid: undefined,
    gid: undefined,
    cipher: CIPHER_DEFAULT,
    mac: MAC_DEFAULT,
    zip: ZIP_DEFAULT,
    authUid: ANY_ID,
    authGid: ANY_ID,
    ttl: TTL_DEFAULT,
    socket: DEFAULT_SOCKET,
  };
  parseOptions(program, USAGE, settings, args);
  if ("path" in settings.payload) {
    refuseSameFile(settings.payload.path, settings.output);
    settings.payload = readInput(settings.payload.path, MAX_PAYLOAD_LENGTH);
  }
  const output = new Output(settings.output);
  let credential: Uint8Array;
  try {
    takeIdentity(settings);
    credential = encode(settings, settings.payload);
  } catch (error) {
    output.abandon();
    throw error;
  }
  const line = new Uint8Array(credential.length + 1);
  line.set(credential);
  line[credential.length] = 0x0a;
  try {
    output.write(line);
    output.close();
  } catch (error) {
    refuse(`Failed to close output file: ${systemText(error)}`);
  }
}

/** Has munged make the credential; an error in its answer is exit status 1, as in the reference. */
function encode(settings: Settings, payload: Uint8Array): Uint8Array {
  const response = new BlockingClient(settings.socket).encode({ ...settings, realm: "", payload });
  if (response.errno !== 0) refuse(response.errorText || "Internal error");
  return response.credential;
}

/** Becomes the user and group that the credential shall name: munged asks the kernel who is calling. */
function takeIdentity({ uid, gid }: Settings): void {
  try {
    if (gid !== undefined) process.setegid?.(gid);
  } catch (error) {
    refuse(`Failed to create credential for GID ${gid}: ${systemText(error)}`);
  }
  try {
    if (uid !== undefined) process.seteuid?.(uid);
  } catch (error) {
    refuse(`Failed to create credential for UID ${uid}: ${systemText(error)}`);
  }
}
