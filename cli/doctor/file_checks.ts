// Checks of what munged finds at startup: its configuration, user, key and files, their directories, and free space.
import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { checkFile, type TrustedFile } from "../../lib/files/security.ts";
import { systemCode, systemText } from "../../lib/os/system_text.ts";
import { userById } from "../../lib/os/users.ts";
import { copyKey, explain } from "./causes.ts";
import { advise, type Finding, ok, problem, skipped, warning } from "./finding.ts";
import type { Node } from "./node.ts";

/** Free bytes that are too few for munged's files, and that may soon be. */
const DISK_PROBLEM = 1 << 20;
const DISK_WARNING = 4 << 20;

/** Advice where doctor lacks permission to look. */
export const AS_ROOT = "run doctor as root";

/** A message of munged as a finding, with what to do about it. */
export function explained(make: typeof problem, text: string, node: Node): Finding {
  return make(text, explain(text, node)?.remedy);
}

/** Whether munged accepts its configuration file and environment. */
export function configuration(node: Node): Finding[] {
  const { configFailure } = node;
  return [
    configFailure === undefined
      ? ok("munged accepts its configuration")
      : explained(problem, configFailure, node),
  ];
}

/** Whether the name service knows munged's user. */
export function user({ uid, user, lock }: Node): Finding[] {
  if (uid === undefined) {
    return [
      problem(
        `There is no user "${user}" to run munged as`,
        advise("Create the user as the package does, or name another with --user"),
      ),
    ];
  }
  if (userById(uid) === undefined) {
    return [
      problem(
        `munged's user, UID ${uid}, is unknown to the name service`,
        advise(
          "Find out whether the name service fails, or munged's files belong to an unknown user",
        ),
      ),
    ];
  }
  return [ok(`munged ${lock.state === "held" ? "runs" : "would run"} as ${user} (${uid})`)];
}

/** Whether there is a key that only munged can read. */
export function key(node: Node): Finding[] {
  const { key, keyFile, exchange, lock } = node;
  if (key.state === "hidden") {
    return [skipped(`You can't read the key "${keyFile}", which is as it should be: ${AS_ROOT}`)];
  }
  if (key.state !== "read" && exchange.state === "answered" && lock.state === "held") {
    const other = optionOf(lock.holder.options, "key-file");
    if (other && other !== keyFile) return [ok(`munged was started with the key "${other}"`)];
  }
  if (key.state === "missing" && exchange.state === "answered") {
    if (lock.state === "held" && lock.holder.isContainer) {
      return [ok("munged has its key from the container's secret")];
    }
    const text = `munged has a key, but "${keyFile}" is gone: it could not start again`;
    return [warning(text, copyKey)];
  }
  if (isEmpty(keyFile)) {
    return [problem(`The key file "${keyFile}" is empty: it was never filled`, copyKey)];
  }
  if (key.state === "read") return [ok(`"${keyFile}" has fingerprint ${key.fingerprint}`)];
  return key.breaches.map((text) => explained(problem, text, node));
}

function isEmpty(path: string): boolean {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size === 0;
  } catch {
    return false; // reported by the key's own checks
  }
}

/** The value of one of munged's options among arguments `--name=value`. */
export function optionOf(words: readonly string[], name: string): string | undefined {
  const start = `--${name}=`;
  return words.findLast((word) => word.startsWith(start))?.slice(start.length);
}

/** Whether only munged can write to its files. */
export function files(node: Node): Finding[] {
  const { config, exchange, lock, canReadAll } = node;
  const paths: [TrustedFile, string][] = [["seed", config.seedFile], ["pid", config.pidFile]];
  if (!config.foreground && !config.syslog) paths.unshift(["log", config.logFile]);
  // Where a running daemon has its files is known only from its command line.
  if (exchange.state === "answered" && lock.state !== "held") return [];
  const make = exchange.state === "answered" ? warning : problem;
  const findings: Finding[] = [];
  for (const [kind, path] of paths) {
    for (const { text, code } of breaches(kind, path, node)) {
      if (!canReadAll && code === "EACCES") continue;
      findings.push(explained(make, text, node));
    }
  }
  return findings.length > 0
    ? findings
    : [ok("Log, seed and PID file are where only munged can write")];
}

/** A problem that munged would report; with the system's code if it could not check. */
interface Breach {
  readonly text: string;
  readonly code?: string | undefined;
}

/** Problems that munged would report with a file and its directories. */
function breaches(kind: TrustedFile, path: string, { config, uid }: Node): Breach[] {
  const found: Breach[] = [];
  const rules = {
    force: true,
    trustedGroup: config.trustedGroup,
    ...(uid === undefined ? {} : { uid }),
  };
  try {
    checkFile(kind, path, rules, { warning: (text) => void found.push({ text }) });
  } catch (error) {
    found.push({ text: systemText(error), code: systemCode(error) });
  }
  return found;
}

/** Whether users can reach the socket. */
export function socketDirectory(node: Node): Finding[] {
  const found = breaches("socket", node.socketPath, node);
  if (found.length > 0) return found.map(({ text }) => explained(problem, text, node));
  return [ok(`All users can reach "${dirname(node.socketPath)}"`)];
}

/** Whether there is enough space for munged's files. */
export function diskSpace({ config, socketPath }: Node): Finding[] {
  const directories = new Set(
    [config.seedFile, config.replayDir ?? config.seedFile, config.pidFile, socketPath]
      .concat(config.syslog || config.foreground ? [] : config.logFile).map((path) =>
        dirname(path)
      ),
  );
  const seen = new Set<number>();
  const findings: Finding[] = [];
  for (const directory of directories) {
    try {
      const { dev } = statSync(directory);
      if (seen.has(dev)) continue;
      seen.add(dev);
      const { bavail, bsize, ffree, files } = statfsSync(directory);
      const remedy = advise(`Make room on the file system of "${directory}"`);
      if (files > 0 && ffree === 0) {
        findings.push(problem(`The file system of "${directory}" has no free inodes`, remedy));
      } else if (bavail * bsize < DISK_WARNING) {
        const make = bavail * bsize < DISK_PROBLEM ? problem : warning;
        const left = `${Math.floor(bavail * bsize / 1024)} KiB left`;
        findings.push(
          make(`The file system of "${directory}" is full or nearly full: ${left}`, remedy),
        );
      }
    } catch {
      // The checks above report a directory that is missing or hidden.
    }
  }
  return findings.length > 0 ? findings : [ok("There is enough space for munged's files")];
}
