// The keys of all realms, from their files to the threads: reads and checks them, notices changes, hands them to all
// workers, and wipes them when they are no longer valid.
import { type BigIntStats, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { primitives } from "../../../lib/primitives/executable.ts";
import { MungeError } from "../../../lib/errors.ts";
import {
  composeRing,
  type FoundKey,
  KEY_ROLES,
  keyPath,
  type RingKey,
} from "../../../lib/keys/ring.ts";
import { deriveSubkeys, type Subkeys, wipeSubkeys } from "../../../lib/credential/subkeys.ts";
import type { SystemError } from "../../../lib/os/libc.ts";
import {
  freeSecret,
  newSecret,
  secretAt,
  type SharedSecret,
  shareSecret,
} from "../../../lib/os/secret_memory.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { DEFAULT_REALM, describeRealm, isRealmName } from "../../../lib/credential/realm.ts";
import { type DaemonConfig, keyRotationTime } from "../config.ts";
import { readKeyFile } from "../../../lib/keys/file.ts";
import type { FileWatch } from "../../process/file_watch.ts";
import type { Logger } from "../../process/log.ts";
import { limitedRealms, resolvePolicy } from "../policy/policy.ts";
import type { Realm, Realms, ServedKey } from "./realms.ts";
import { shelter } from "./shelter.ts";

/** A changed file takes effect once two checks this far apart see the same state. */
const RECHECK_MS = 1_000;
/** The longest delay of a timer. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;
/** How often files that change while being read are read again. */
const MAX_READS = 10;
const REALM_SUFFIX = ".key";

/** Hands new realms to all threads; settles when no thread uses the old ones any more. */
export type PutInForce = (realms: Realms) => Promise<void>;

/** The realms of one munged. */
export class KeyStore {
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  #realms: Realms = new Map();
  /** State of the files when they were last read, and when they were last checked. */
  #read = "";
  #seen = "";
  #putInForce: PutInForce = () => Promise.resolve();
  /** The change in progress; the next one waits for it. */
  #change: Promise<void> = Promise.resolve();
  #recheck: NodeJS.Timeout | undefined;
  #warnedOfSwap = false;
  #expiry: NodeJS.Timeout | undefined;

  /**
   * Reads all keys.
   *
   * @throws {MungeError} for the first file that is missing, insecure or not a key, for rules of a realm that does
   * not exist, and for rules that contradict each other.
   */
  constructor(config: DaemonConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
    const rings = new Map<string, readonly ServedKey[]>();
    this.#read = this.#seen = this.#signature();
    for (const [name, keyFile] of this.#keyFiles()) rings.set(name, this.#readRing(keyFile, []));
    const named = config.replayScopes.flatMap(({ realm }) => realm ?? []);
    for (const realm of [...limitedRealms(config), ...named]) {
      if (rings.has(realm)) continue;
      throw new MungeError(
        "EMUNGE_SNAFU",
        `Failed to limit ${describeRealm(realm)}: no such realm`,
      );
    }
    this.#realms = this.#withPolicies(rings);
    for (const [name, { ring }] of this.#realms) {
      if (name !== DEFAULT_REALM || ring.length > 1) log.info(describeRing(name, ring));
    }
    this.#warnOfSharedKeys();
  }

  /** The realms in force. */
  get realms(): Realms {
    return this.#realms;
  }

  /** Starts handing changes to the threads, and noticing changed files and expiring keys. */
  start(putInForce: PutInForce, watch: FileWatch): void {
    this.#putInForce = putInForce;
    watch.add(() => this.#directories(), () => this.#look());
    this.#armExpiry();
  }

  /** Reads the files again. If one can't be read, its realm stays as it was, and the log has an error. */
  reload(): void {
    this.#enqueue(() => this.#readAgain());
  }

  /** Stops watching, after any change in progress. */
  async stop(): Promise<void> {
    clearTimeout(this.#recheck);
    clearTimeout(this.#expiry);
    await this.#change;
  }

  /** Wipes all keys; no thread may use them any more. */
  wipe(): void {
    for (const secret of secretsOf(this.#realms)) secretAt(secret).fill(0);
  }

  #look(): void {
    clearTimeout(this.#recheck);
    let signature: string;
    try {
      signature = this.#signature();
    } catch (error) {
      this.#log.limited("key files", "error", systemText(error));
      return;
    }
    if (signature === this.#read) return;
    // Two equal checks, so as not to read a file that is being written.
    if (signature === this.#seen) this.reload();
    else this.#recheck = setTimeout(() => this.#look(), RECHECK_MS);
    this.#seen = signature;
  }

  /** Waits for the next key to expire. */
  #armExpiry(): void {
    clearTimeout(this.#expiry);
    const expiries = [...this.#realms.values()].flatMap(({ ring }) =>
      ring.flatMap(({ expiry }) => expiry ?? [])
    );
    if (expiries.length === 0) return;
    const wait = Math.max(0, Math.min(...expiries) * 1000 - Date.now());
    this.#expiry = setTimeout(() => {
      if (this.#hasExpired()) this.#enqueue(() => this.#dropExpired());
      else this.#armExpiry(); // the timer's maximum was reached, or the clock set back
    }, Math.min(wait, LONGEST_WAIT_MS));
  }

  /** The directories of all key files, including the targets of links. */
  #directories(): string[] {
    const { realmDir } = this.#config;
    const files = [...this.#keyFiles().values()].flatMap((file) => [file, realPathOf(file)]);
    return [...new Set([realmDir, ...files.map((file) => dirname(file))])];
  }

  #enqueue(change: () => ReadonlyMap<string, readonly ServedKey[]>): void {
    this.#change = this.#change.then(() => this.#replace(this.#withPolicies(change()))).catch(
      (error) => this.#log.error(`Failed to change keys: ${systemText(error)}`),
    );
  }

  #readAgain(): Map<string, readonly ServedKey[]> {
    this.#read = this.#signature();
    const rings = new Map<string, readonly ServedKey[]>();
    for (const [name, keyFile] of this.#keyFiles()) {
      const old = this.#realms.get(name)?.ring;
      try {
        rings.set(name, this.#readRing(keyFile, old ?? []));
      } catch (error) {
        const kept = old === undefined ? "it is not served" : "its keys stay as they were";
        this.#log.error(
          `Failed to read keys of ${describeRealm(name)} (${kept}): ${systemText(error)}`,
        );
        if (old !== undefined) rings.set(name, old);
      }
    }
    return rings;
  }

  #hasExpired(): boolean {
    const time = now();
    return [...this.#realms.values()].some(({ ring }) => ring.some((key) => isExpired(key, time)));
  }

  #dropExpired(): Map<string, readonly ServedKey[]> {
    const time = now();
    return new Map(
      [...this.#realms].map((
        [name, { ring }],
      ) => [name, ring.filter((key) => !isExpired(key, time))]),
    );
  }

  /** Puts realms in force, logs the changes, and wipes the keys that are gone. */
  async #replace(realms: Realms): Promise<void> {
    const before = this.#realms;
    const changed = [...realms].filter(([name, { ring }]) => {
      const old = before.get(name);
      return old === undefined || describeRing(name, old.ring) !== describeRing(name, ring);
    });
    const removed = [...before.keys()].filter((name) => !realms.has(name));
    if (changed.length === 0 && removed.length === 0) return;
    await this.#putInForce(realms);
    this.#realms = realms;
    this.#armExpiry();
    for (const [name, { ring }] of changed) this.#log.notice(describeRing(name, ring));
    for (const name of removed) this.#log.notice(`Removed ${describeRealm(name)}`);
    this.#warnOfSharedKeys();
    const kept = new Set(secretsOf(realms));
    for (const secret of secretsOf(before)) {
      if (!kept.has(secret)) freeSecret(secret);
    }
  }

  #withPolicies(rings: ReadonlyMap<string, readonly ServedKey[]>): Map<string, Realm> {
    return new Map(
      [...rings].map(([name, ring]) => [name, { ring, policy: resolvePolicy(this.#config, name) }]),
    );
  }

  /** The key file of each realm; one named explicitly overrides one in the realms' directory. */
  #keyFiles(): Map<string, string> {
    const { keyFile, realmDir, realms } = this.#config;
    const files = new Map([[DEFAULT_REALM, keyFile]]);
    for (const name of realmNames(realmDir)) {
      files.set(name, join(realmDir, `${name}${REALM_SUFFIX}`));
    }
    for (const { name, keyFile } of realms) files.set(name, keyFile);
    return files;
  }

  /** The state of all key files as seen by stat(); changes when any of them does. */
  #signature(): string {
    const lines: string[] = [];
    for (const [name, keyFile] of this.#keyFiles()) lines.push(`${name} ${fileSignature(keyFile)}`);
    return lines.join("\n");
  }

  /** The keys of a realm from their files; known ones keep their memory. */
  #readRing(keyFile: string, known: readonly ServedKey[]): ServedKey[] {
    return this.#readKeys(keyFile).map(({ subkeys, ...key }) => {
      const same = known.find(({ fingerprint }) => fingerprint === key.fingerprint);
      if (same === undefined) return { ...key, secret: shelter(subkeys, this.#warnOfSwap) };
      wipeSubkeys(subkeys);
      return { ...key, secret: same.secret };
    });
  }

  #readKeys(keyFile: string): RingKey[] {
    for (let reads = 1;; reads++) {
      const before = fileSignature(keyFile);
      const found: FoundKey[] = [];
      try {
        for (const role of KEY_ROLES) {
          const path = keyPath(keyFile, role);
          if (role !== "active" && lstatSync(path, { throwIfNoEntry: false }) === undefined) {
            continue;
          }
          found.push({ role, subkeys: this.#readSubkeys(path), since: changeTime(path) });
        }
      } catch (error) {
        for (const { subkeys } of found) wipeSubkeys(subkeys);
        // A promotion renames files, so a file may have a new name by now.
        if (fileSignature(keyFile) !== before && reads < MAX_READS) continue;
        throw error;
      }
      if (fileSignature(keyFile) === before || reads === MAX_READS) {
        return composeRing(found, now(), keyRotationTime(this.#config));
      }
      for (const { subkeys } of found) wipeSubkeys(subkeys);
    }
  }

  #readSubkeys(path: string): Subkeys {
    const used: Uint8Array[] = [];
    const allocate = (length: number) => {
      const bytes = newSecret(length, this.#warnOfSwap);
      used.push(bytes);
      return bytes;
    };
    try {
      const key = readKeyFile(path, this.#config, this.#log, allocate);
      return deriveSubkeys(key, primitives, allocate(key.length + 1));
    } finally {
      for (const bytes of used) freeSecret(shareSecret(bytes));
    }
  }

  /** Keys whose memory can't be locked, as under a small `ulimit -l`, may be swapped out: logged once. */
  readonly #warnOfSwap = (reason: SystemError): void => {
    if (this.#warnedOfSwap) return;
    this.#warnedOfSwap = true;
    this.#log.warning(`Keys may be swapped out: ${reason.message}`);
  };

  #warnOfSharedKeys(): void {
    const realmOf = new Map<string, string>();
    for (const [name, { ring }] of this.#realms) {
      for (const { fingerprint } of ring) {
        const other = realmOf.get(fingerprint) ?? name;
        realmOf.set(fingerprint, other);
        if (other === name) continue;
        this.#log.warning(
          `Key ${fingerprint} is in ${describeRealm(other)} and in ${describeRealm(name)}`,
        );
      }
    }
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}

function isExpired({ expiry }: ServedKey, time: number): boolean {
  return expiry !== null && expiry <= time;
}

function* secretsOf(realms: Realms): Generator<SharedSecret> {
  for (const { ring } of realms.values()) for (const { secret } of ring) yield secret;
}

/** `Keys of realm "x": active 0123456789abcdef, old fedcba9876543210 until 2026-11-21T23:00:00Z`. */
function describeRing(name: string, ring: readonly ServedKey[]): string {
  const keys = ring.map(({ role, fingerprint, expiry }) => {
    const until = expiry === null ? "" : ` until ${new Date(expiry * 1000).toISOString()}`;
    return `${role} ${fingerprint}${until}`;
  });
  return `Keys of ${describeRealm(name)}: ${keys.join(", ")}`;
}

function changeTime(path: string): number {
  return Math.floor(statSync(path).mtimeMs / 1000);
}

/** A file's real path, or the given path if that can't be determined. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The state of a ring's files as seen by stat(). */
function fileSignature(keyFile: string): string {
  return KEY_ROLES.map((role) => {
    let stats: BigIntStats;
    try {
      stats = statSync(keyPath(keyFile, role), { bigint: true }); // a secret is a link to a link that moves
    } catch {
      return "-"; // reading it will say why
    }
    const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = stats;
    return [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(":");
  }).join(" ");
}

/** The realms with a key in the directory, if it exists. */
function realmNames(directory: string): string[] {
  let files: string[];
  try {
    files = readdirSync(directory).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return []; // reading the key beside it will fail
    const text = `Failed to read realms directory "${directory}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
  return files.filter((file) => file.endsWith(REALM_SUFFIX))
    .map((file) => file.slice(0, -REALM_SUFFIX.length)).filter(isRealmName);
}
