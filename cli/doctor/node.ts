// Everything that doctor knows about munged on this node, gathered once: its configuration, the holder of the lock, the key
// in the file, and how the daemon answers. The checks interpret it.
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { DaemonConfig } from "../../daemon/munged/config.ts";
import { lockPath } from "../../daemon/process/lock_file.ts";
import { CIPHER_DEFAULT } from "../../lib/credential/cipher.ts";
import { MAC_DEFAULT } from "../../lib/credential/mac.ts";
import { ZIP_DEFAULT } from "../../lib/credential/zip.ts";
import { ERRNO } from "../../lib/errors.ts";
import { checkFile } from "../../lib/files/security.ts";
import { readKeyFile } from "../../lib/keys/file.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { systemCode, systemText } from "../../lib/os/system_text.ts";
import { userById, userByName } from "../../lib/os/users.ts";
import { ANY_ID, type DecodeResponse, TTL_DEFAULT } from "../../lib/protocol/message.ts";
import { parseArguments, parseConfig } from "../munged/munged.ts";
import { fingerprintOf, openWith, sealWith } from "./file_key.ts";
import { inspectLock, type Lock } from "./lock.ts";
import { asUser, hasOnly, ownerOfPath, type Place, quote } from "./place.ts";

/** The key file. */
export type Key =
  | {
    readonly state: "read";
    readonly bytes: Uint8Array;
    readonly fingerprint: string;
  }
  | { readonly state: "hidden" }
  | { readonly state: "missing"; readonly breaches: readonly string[] }
  | { readonly state: "bad"; readonly breaches: readonly string[] };

/** The outcome of requests to the daemon. */
export type Exchange =
  | {
    readonly state: "failed";
    readonly text: string;
    /** The system's code of the failed call, if any. */
    readonly code: string | undefined;
    readonly answered: boolean;
  }
  | {
    readonly state: "answered";
    readonly milliseconds: number;
    /** Seconds by which munged's clock is ahead of ours. */
    readonly clockLead: number;
    /** Undefined if the key file could not be read. */
    readonly decodesFileKey: boolean | undefined;
    readonly encodesWithFileKey: boolean | undefined;
  };

/** This node. */
export interface Node extends Place {
  readonly config: DaemonConfig;
  /** Why munged would refuse its configuration file or environment. */
  readonly configFailure: string | undefined;
  /** munged's options on doctor's command line. */
  readonly args: readonly string[];
  /** UID that munged runs as, or would. */
  readonly uid: number | undefined;
  /** Whether doctor may read what only munged's user may read. */
  readonly canReadAll: boolean;
  readonly lock: Lock;
  readonly key: Key;
  readonly exchange: Exchange;
}

/** Options taken from the running daemon's command line unless doctor is given them. */
const ADOPTED =
  /^--(?:accept-origin|allow-\w+|security|log-file|pid-file|seed-file|max-payload|trusted-group|origin|syslog|foreground|force)(?:=|$)/;

/**
 * Looks at this node.
 *
 * @param args words of munged's options, each `--name` or `--name=value`.
 * @param userName the user munged runs as; undefined to infer it from its files.
 */
export function inspectNode(
  args: readonly string[],
  userName: string | undefined,
): Node {
  const alone = parseArguments("munged", args);
  const expected = daemonUid(alone, inspectLock(alone.socketPath), userName);
  let { config, failure } = readConfig(args, expected);
  const lock = inspectLock(config.socketPath);
  if (lock.state === "held") {
    // The running munged's command line says where its files are; relative paths mean its own directory.
    const adopted = lock.holder.options.filter((word) =>
      ADOPTED.test(word) && (word.startsWith("--accept-origin=") || !/=(?!\/).*\//.test(word))
    );
    ({ config, failure } = readConfig([...adopted, ...args], lock.holder.uid));
  }
  const uid = daemonUid(config, lock, userName);
  const user = userName ?? (uid === undefined ? "munge" : userById(uid)?.name ?? `${uid}`);
  const canReadAll = process.geteuid!() === 0 || process.geteuid!() === uid;
  const key = readKey(config, uid, canReadAll);
  const answer = exchange(config.socketPath, key);
  const start = startCommand(args, user, uid);
  const files = filesOf(config);
  return {
    config,
    configFailure: failure,
    args,
    uid,
    user,
    canReadAll,
    // Examined again, because what matters is the state of munged while it did not answer.
    lock: inspectLock(config.socketPath),
    key,
    exchange: answer,
    socketPath: config.socketPath,
    keyFile: config.keyFile,
    start,
    restart: start.startsWith("systemctl") ? start : `${stopCommand(args, user, uid)}; ${start}`,
    ownerOf: (path) => ownerOfPath(path, uid),
    isOwnDirectory: (path) => hasOnly(path, files),
  };
}

/** All of munged's files. */
function filesOf({ keyFile, logFile, pidFile, replayDir, seedFile, socketPath }: DaemonConfig) {
  const files = [keyFile, logFile, pidFile, seedFile, socketPath, lockPath(socketPath)];
  return replayDir === null ? files : [...files, replayDir];
}

function readConfig(
  args: readonly string[],
  uid: number | undefined,
): { config: DaemonConfig; failure: string | undefined } {
  try {
    return { config: parseConfig("munged", args, process.env, uid), failure: undefined };
  } catch (error) {
    return { config: parseArguments("munged", args), failure: (error as Error).message };
  }
}

/** The system's service runs munged with the defaults; any other is started by hand. */
function startCommand(args: readonly string[], user: string, uid: number | undefined): string {
  if (args.length === 0 && existsSync("/run/systemd/system")) return "systemctl restart munge";
  return asUser(user, uid, ["munged", ...args].map(quote).join(" "));
}

/** Stops only the munged that holds the lock of the socket. */
function stopCommand(args: readonly string[], user: string, uid: number | undefined): string {
  const sockets = args.filter((word) => word.startsWith("--socket="));
  return asUser(user, uid, ["munged", "--stop", ...sockets].map(quote).join(" "));
}

/** Owner of the process that holds the lock or, if there is none, of munged's state directory. */
function daemonUid(
  config: DaemonConfig,
  lock: Lock,
  userName: string | undefined,
): number | undefined {
  if (userName !== undefined) return userByName(userName)?.uid;
  if (lock.state === "held" && lock.holder.uid !== undefined) return lock.holder.uid;
  const directory = statSync(dirname(config.seedFile), { throwIfNoEntry: false });
  const isShared = directory === undefined || (directory.mode & 0o1000) !== 0;
  return isShared ? process.geteuid!() : directory.uid;
}

/**
 * Reads the key, if munged would: root must not follow a link in the key's place and reveal something about its target to
 * others.
 */
function readKey(config: DaemonConfig, uid: number | undefined, canReadAll: boolean): Key {
  const breaches: string[] = [];
  const rules = { trustedGroup: config.trustedGroup, ...(uid === undefined ? {} : { uid }) };
  try {
    const collect = { warning: (text: string) => void breaches.push(text) };
    checkFile("key", config.keyFile, { ...rules, force: true }, collect);
    if (breaches.length > 0) return { state: "bad", breaches };
    const bytes = readKeyFile(config.keyFile, { ...rules, force: false }, collect);
    return { state: "read", bytes, fingerprint: fingerprintOf(bytes) };
  } catch (error) {
    const code = systemCode(error);
    if (!canReadAll && code === "EACCES") {
      return breaches.length === 0 ? { state: "hidden" } : { state: "bad", breaches };
    }
    const state = code === "ENOENT" ? "missing" : "bad";
    return { state, breaches: [...breaches, systemText(error)] };
  }
}

function exchange(socketPath: string, key: Key): Exchange {
  let client: BlockingClient;
  const started = performance.now();
  let own: DecodeResponse;
  let credential: Uint8Array;
  const uid = process.geteuid!();
  try {
    client = new BlockingClient(socketPath, { waitForSocket: false });
    const made = encodeCredential(client, uid);
    if (made.errno !== 0) return refused(made.errorText);
    credential = made.credential.slice();
    own = client.decode({ credential });
    if (own.errno !== 0) return refused(own.errorText);
  } catch (error) {
    const text = systemText(error);
    return { state: "failed", text, code: systemCode(error), answered: false };
  }
  const answer = {
    state: "answered",
    milliseconds: performance.now() - started,
    clockLead: own.decodeTime - Math.floor(Date.now() / 1000),
  } as const;
  if (key.state !== "read") {
    return { ...answer, decodesFileKey: undefined, encodesWithFileKey: undefined };
  }
  const text = new TextDecoder("latin1").decode(credential);
  const sealed = sealWith(key.bytes, uid, process.getegid!(), own);
  const opened = client.decode({ credential: new TextEncoder().encode(sealed) });
  return {
    ...answer,
    decodesFileKey: opened.errno !== ERRNO.EMUNGE_CRED_INVALID,
    encodesWithFileKey: openWith(key.bytes, text) !== undefined,
  };
}

function refused(text: string): Exchange {
  return { state: "failed", text, code: undefined, answered: true };
}

/** A credential without payload. */
export function encodeCredential(client: BlockingClient, uidRestriction: number = ANY_ID) {
  return client.encode({
    cipher: CIPHER_DEFAULT,
    mac: MAC_DEFAULT,
    zip: ZIP_DEFAULT,
    realm: "",
    ttl: TTL_DEFAULT,
    uidRestriction,
    gidRestriction: ANY_ID,
    payload: new Uint8Array(0),
  });
}
