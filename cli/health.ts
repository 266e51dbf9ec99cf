// mungebox health: checks that munged makes and opens a credential, for probes by containers and monitoring.
import { CIPHER_DEFAULT } from "../lib/credential/cipher.ts";
import { errorCode, MungeError } from "../lib/errors.ts";
import { MAC_DEFAULT } from "../lib/credential/mac.ts";
import { ANY_ID, TTL_DEFAULT } from "../lib/protocol/message.ts";
import { BlockingClient } from "../lib/client/blocking_client.ts";
import { printable } from "../lib/printable.ts";
import { DEFAULT_SOCKET } from "../lib/paths.ts";
import { ZIP_DEFAULT } from "../lib/credential/zip.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "./command_line/options.ts";
import { SOCKET_OPTION } from "./command_line/values.ts";

/** The command line of mungebox health. */
export const USAGE: Usage<{ socket: string }> = {
  groups: [INFORMATION_OPTIONS, [SOCKET_OPTION]],
  closing:
    "Makes a credential and opens it. The exit status is 0 if that works, otherwise MUNGE's error number.",
};

/** Runs mungebox health; throws a MungeError if munged fails. */
export function run(program: string, args: readonly string[]): void {
  const settings = { socket: DEFAULT_SOCKET };
  parseOptions(program, USAGE, settings, args);
  const client = new BlockingClient(settings.socket, { waitForSocket: false });
  const made = client.encode({
    cipher: CIPHER_DEFAULT,
    mac: MAC_DEFAULT,
    zip: ZIP_DEFAULT,
    realm: "",
    ttl: TTL_DEFAULT,
    uidRestriction: process.getuid!(), // no one else needs it
    gidRestriction: ANY_ID,
    payload: new Uint8Array(0),
  });
  check(made);
  check(client.decode({ credential: made.credential.slice() })); // the client reuses its buffer
}

function check({ errno, errorText }: { errno: number; errorText: string }): void {
  if (errno !== 0) throw new MungeError(errorCode(errno), printable(errorText));
}
