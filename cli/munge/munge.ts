// munge: turns a payload into a credential.
import { errorCode, MungeError } from "../../lib/errors.ts";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { ignoreHangup } from "../../lib/os/standard_streams.ts";
import { setEffectiveGroup, setEffectiveUser } from "../../lib/os/identity.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { printable } from "../../lib/printable.ts";
import { isRealmName } from "../../lib/credential/realm.ts";
import { Output, readInput, refuseSameFile, WriteError } from "../command_line/files.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "../command_line/options.ts";
import { reportWarning } from "../command_line/print.ts";
import { addition, bytes, choice, flag, named, parsed, text } from "../command_line/vocabulary.ts";
import { renewUntilStopped } from "./renew.ts";
import {
  ENCODE_DEFAULTS,
  type EncodeSettings,
  parseGroup,
  parseUser,
  refuse,
  RESTRICT_GID_OPTION,
  RESTRICT_UID_OPTION,
  SOCKET_OPTION,
  TTL_OPTION,
  TYPE_OPTIONS,
} from "../command_line/values.ts";

interface Settings extends EncodeSettings {
  /** The source of the payload: bytes from the command line, or a file. */
  payload: Uint8Array | { path: string };
  output: string;
  /** The user and group to switch to first. */
  uid: number | undefined;
  gid: number | undefined;
  /** Empty for the default realm. */
  realm: string;
  /** Whether to keep a valid credential in the output. */
  renew: boolean;
}

/** The command line of munge. */
export const USAGE: Usage<Settings> = {
  groups: [
    INFORMATION_OPTIONS,
    [
      choice("-n, --no-input", "Discard all input for payload", "payload", new Uint8Array(0)),
      bytes("-s, --string=STR", "Input payload from string", "payload"),
      parsed("-i, --input=PATH", "Input payload from file", "payload", (path) => ({ path })),
      text("-o, --output=PATH", "Output credential to file", "output"),
    ],
    TYPE_OPTIONS,
    [
      RESTRICT_UID_OPTION,
      named("-U, --uid=UID", "Specify credential user/UID", "uid", parseUser),
      RESTRICT_GID_OPTION,
      named("-G, --gid=GID", "Specify credential group/GID", "gid", parseGroup),
      TTL_OPTION,
      SOCKET_OPTION,
    ],
    [
      addition(parsed("--realm=NAME", "Specify security realm", "realm", parseRealm)),
      addition(flag("--renew", "Keep a valid credential in the output file", "renew")),
    ],
  ],
  closing: "By default, payload read from stdin, credential written to stdout.",
};

function parseRealm(name: string): string {
  return isRealmName(name) ? name : refuse(`Invalid security realm "${name}"`);
}

/** Runs munge; throws a MungeError for any failure. */
export function run(program: string, args: readonly string[]): void | Promise<void> {
  const settings: Settings = {
    payload: { path: "-" },
    output: "-",
    uid: undefined,
    gid: undefined,
    realm: "",
    renew: false,
    ...ENCODE_DEFAULTS,
  };
  parseOptions(program, USAGE, settings, args);
  if (!settings.renew) ignoreHangup();
  if (settings.renew && settings.output === "-") refuse('Option "--renew" needs an output file');
  if ("path" in settings.payload) {
    refuseSameFile(settings.payload.path, settings.output);
    const askLimit = () => new BlockingClient(settings.socket).maxPayload();
    settings.payload = readInput(settings.payload.path, MAX_PAYLOAD_LENGTH, askLimit);
  }
  const { payload } = settings;
  if (settings.renew) return keepRenewing(program, settings, payload);
  writeCredential(settings, payload, () => takeIdentity(settings));
}

/** Writes a new credential to the output; calls `prepare` once that is known to be writable. */
function writeCredential(settings: Settings, payload: Uint8Array, prepare: () => void): void {
  const output = new Output(settings.output);
  let credential: Uint8Array;
  try {
    prepare();
    credential = encode(settings, payload);
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
    if (error instanceof WriteError) refuse(`Write error: ${error.message}`);
    refuse(`Failed to close output file: ${systemText(error)}`);
  }
}

async function keepRenewing(program: string, settings: Settings, payload: Uint8Array) {
  process.umask(0o077); // anyone who can read the credential can use it
  takeIdentity(settings);
  await renewUntilStopped(() => {
    writeCredential(settings, payload, () => {});
    return grantedTtl(settings);
  }, (text) => reportWarning(program, text));
}

/** The time-to-live munged actually grants, which it reports when it opens a credential. */
function grantedTtl(settings: Settings): number {
  const anyone = { ...settings, uidRestriction: ANY_ID, gidRestriction: ANY_ID };
  const credential = encode(anyone, new Uint8Array(0));
  const { ttl } = new BlockingClient(settings.socket).decode({ credential });
  return ttl > 0 ? ttl : refuse("Failed to learn time-to-live of credential");
}

/**
 * Asks munged for the credential. An error in its answer gives exit status 1, as in the reference, which has no realms.
 */
function encode(settings: Settings, payload: Uint8Array): Uint8Array {
  const { errno, errorText, credential } = new BlockingClient(settings.socket).encode({
    ...settings,
    payload,
  });
  if (errno === 0) return credential;
  const code = errorCode(errno);
  if (code === "EMUNGE_BAD_REALM" || code === "EMUNGE_CRED_UNAUTHORIZED") {
    throw new MungeError(code, printable(errorText));
  }
  return refuse(printable(errorText) || "Internal error");
}

/** Switches to the user and group that the credential must name, because munged asks the kernel who is calling. */
function takeIdentity({ uid, gid }: Settings): void {
  try {
    if (gid !== undefined) setEffectiveGroup(gid);
  } catch (error) {
    refuse(`Failed to create credential for GID ${gid}: ${systemText(error)}`);
  }
  try {
    if (uid !== undefined) setEffectiveUser(uid);
  } catch (error) {
    refuse(`Failed to create credential for UID ${uid}: ${systemText(error)}`);
  }
}
