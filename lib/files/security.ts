// The rules for files that munged trusts and for the directories above them. A breach prevents munged from starting; with
// --force, it is only a warning.
import type { Stats } from "node:fs";
import { MungeError } from "../errors.ts";
import { fs, paths } from "../os/file_system.ts";
import { systemText } from "../os/system_text.ts";
import {
  detourBreach,
  directoriesAbove,
  type Directory,
  directoryBreach,
  type DirectoryRules,
} from "./directories.ts";

/** Settings that affect the rules. */
export interface SecurityRules {
  /** Turns breaches into warnings. */
  readonly force: boolean;
  /** GID that may write to the directories above a file, or null. */
  readonly trustedGroup: number | null;
  /** UID of the daemon that trusts the file; by default this process's. */
  readonly uid?: number;
  /** Whether keys may be secrets mounted into a container, to which the rules of "secret" apply. */
  readonly mountedSecrets?: boolean;
}

/** Receives warnings. */
export interface WarningLog {
  warning(text: string): void;
}

interface Policy {
  /** Subject of the message about a breach. */
  readonly subject: string;
  /** Names of the file and of its directory in messages about failed checks. */
  readonly file: string;
  readonly directory: string;
  /** Permission bits reserved for the owner; undefined if the file itself is not checked. */
  readonly permission?: { readonly mask: number; readonly text: string };
  /** Whether the file may be missing; if not, what to add to the message when it is. */
  readonly optional?: true;
  readonly hint?: string;
  /** Whether directories may be writable by a group. */
  readonly groupWritable?: true;
  /** Whether directories may belong to any user. */
  readonly anyOwner?: true;
  /** Whether all users must be able to pass through the directories. */
  readonly reachable?: true;
  /** Whether the file may belong to root and be a symbolic link, the links and directories behind which are then checked. */
  readonly placedByRoot?: true;
}

const READ_WRITE = { mask: 0o6, text: "readable or writable" } as const;
const WRITE = { mask: 0o2, text: "writable" } as const;

const POLICIES = {
  auksCache: { subject: "CacheDir", file: "CacheDir", directory: "CacheDir" },
  config: {
    subject: "Configuration file",
    file: "configuration file",
    directory: "configuration file dir",
  },
  key: {
    subject: "Keyfile",
    file: "keyfile",
    directory: "keyfile dir",
    permission: READ_WRITE,
    hint: " (Did you run mungekey?)",
  },
  log: {
    subject: "Logfile",
    file: "logfile",
    directory: "logfile dir",
    permission: WRITE,
    optional: true,
    groupWritable: true,
  },
  // The directory may belong to the metrics collector: all that its owner can do to munged is remove the file.
  metrics: {
    subject: "Metrics file",
    file: "metrics file",
    directory: "metrics file dir",
    groupWritable: true,
    anyOwner: true,
  },
  password: {
    subject: "Password file",
    file: "password file",
    directory: "password file dir",
    permission: READ_WRITE,
  },
  pid: { subject: "PIDfile", file: "PIDfile", directory: "PIDfile dir" },
  // A file on a read-only mount that only this container has. In Kubernetes it belongs to root and a group, and is behind
  // symbolic links; with other engines, everyone may read it.
  secret: {
    subject: "Keyfile",
    file: "keyfile",
    directory: "keyfile dir",
    permission: WRITE,
    hint: " (Did you run mungekey?)",
    placedByRoot: true,
  },
  seed: { subject: "PRNG seed dir", file: "PRNG seed", directory: "PRNG seed dir" },
  socket: { subject: "Socket", file: "socket", directory: "socket dir", reachable: true },
} as const satisfies Record<string, Policy>;

/** A file munged trusts. The lock file and the contents of the seed file are checked where they are opened. */
export type TrustedFile = keyof typeof POLICIES;

/**
 * Checks a file and all directories above it.
 *
 * @param logger receives a warning for each breach with --force.
 * @returns the file that was checked, for the caller to compare with the file it opens; undefined if only the
 * directories were checked, or the file is missing.
 * @throws {MungeError} (exit status 1) for the first breach and, even with --force, for a file of the wrong type or
 * one that can't be examined.
 */
export function checkFile(
  kind: TrustedFile,
  path: string,
  rules: SecurityRules,
  logger: WarningLog,
): Stats | undefined {
  const policy: Policy = POLICIES[kind];
  const report = (text: string) => {
    if (!rules.force) throw new MungeError("EMUNGE_SNAFU", text);
    logger.warning(text);
  };
  const uid = rules.uid ?? process.geteuid!();
  const checked = policy.permission === undefined
    ? undefined
    : checkItself(policy, policy.permission, path, uid, report);
  const allowed: DirectoryRules = { ...policy, trustedGroup: rules.trustedGroup, uid };
  const directories = directoriesAbove(policy.directory, path);
  const breach = directoryBreach(directories, allowed) ??
    detourBreach(policy.placedByRoot === true ? path : paths().dirname(path), directories, allowed);
  if (breach !== undefined) report(`${policy.subject} is insecure: ${breach}`);
  if (policy.reachable === true) checkReachable(policy, directories, report);
  return checked;
}

/** Checks the file itself. @param report receives each breach that --force excuses. */
function checkItself(
  policy: Policy,
  permission: NonNullable<Policy["permission"]>,
  path: string,
  uid: number,
  report: (text: string) => void,
): Stats | undefined {
  const checked = statFile(policy, path);
  const isLink = policy.placedByRoot !== true &&
    fs().lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const owner = policy.placedByRoot === true && checked?.uid === 0 ? 0 : uid;
  const { breaches, fatal } = statBreaches(checked, isLink, "should", permission, owner);
  const insecure = `${policy.subject} is insecure: "${path}"`;
  if (fatal !== undefined) throw new MungeError("EMUNGE_SNAFU", `${insecure} ${fatal}`);
  for (const breach of breaches) report(`${insecure} ${breach}`);
  return checked;
}

/** Checks that all users may pass through the directories. */
function checkReachable(
  { subject }: Policy,
  directories: readonly Directory[],
  report: (text: string) => void,
): void {
  // Only the first can be something other than a directory, in which case creating the socket's lock there will fail.
  const closed = directories.find(({ stats }) =>
    stats.isDirectory() && (stats.mode & 0o111) !== 0o111
  );
  if (closed === undefined) return;
  report(
    `${subject} is inaccessible: execute permissions for all required on ` +
      `"${closed.path}" (st_mode=0${closed.stats.mode.toString(8)})`,
  );
}

function statFile(policy: Policy, path: string): Stats | undefined {
  try {
    return fs().statSync(path);
  } catch (error) {
    if (policy.optional === true && (error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    const text = policy.optional === true
      ? `Failed to check ${policy.file} "${path}": ${systemText(error)}`
      : `Failed to find ${policy.file} "${path}": ${systemText(error)}${policy.hint ?? ""}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
}

/**
 * The breaches of the rules by one of our files, as the text that follows its name in messages.
 *
 * @param stats of the file, or of the target of a link; undefined if there is none.
 * @param verb "should", or "must" where --force makes no difference.
 * @param permission what users other than the owner must not be able to do, as bits of one octal digit and in words.
 * @param uid of the daemon.
 * @returns the breaches in the order of their messages, and the one that --force does not excuse.
 */
export function statBreaches(
  stats: Stats | undefined,
  isLink: boolean,
  verb: "should" | "must",
  permission: { readonly mask: number; readonly text: string } = READ_WRITE,
  uid: number = process.geteuid!(),
): { breaches: string[]; fatal?: string } {
  const breaches: string[] = [];
  if (stats !== undefined && !stats.isFile()) {
    return {
      breaches,
      fatal: `must be a regular file (type=0${
        (stats.mode & 0o170000).toString(8).padStart(6, "0")
      })`,
    };
  }
  if (isLink) breaches.push(`${verb} not be a symbolic link`);
  if (stats === undefined) return { breaches };
  if (stats.uid !== uid) {
    breaches.push(`${verb} be owned by UID ${uid} instead of UID ${stats.uid}`);
  }
  const perms = `0${(stats.mode & 0o777).toString(8).padStart(3, "0")}`;
  for (const [who, shift] of [["group", 3], ["other", 0]] as const) {
    if ((stats.mode & (permission.mask << shift)) !== 0) {
      breaches.push(`${verb} not be ${permission.text} by ${who} (perms=${perms})`);
    }
  }
  return { breaches };
}
