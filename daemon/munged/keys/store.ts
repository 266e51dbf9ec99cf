// The keys of all realms, from their files to the threads: read with their checks, noticed when they change,
// handed to all workers, and wiped when they count no more.
import { type BigIntStats, lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { crypto } from "../../../lib/crypto/executable.ts";
import { MungeError } from "../../../lib/errors.ts";
import {
  composeRing,
  type FoundKey,
  KEY_ROLES,
  keyPath,
  type RingKey,
} from "../../../lib/keys/ring.ts";
import { deriveSubkeys, type Subkeys, wipeSubkeys } from "../../../lib/credential/subkeys.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { isRealmName } from "../../../lib/credential/realm.ts";
import { type DaemonConfig, keyRotationTime } from "../config.ts";
import { readKeyFile } from "../../../lib/keys/file.ts";
import type { Logger } from "../../process/log.ts";
import { DEFAULT_REALM, describeRealm, type Realm, type Realms } from "./realms.ts";

/** Milliseconds between looks at the files; a change is taken up at the second look that finds it. */
const WATCH_INTERVAL_MS = 3_000;
/** Times that files are read again because they changed while they were read. */
const MAX_READS = 10;
const REALM_SUFFIX = ".key";

/** Hands new realms to all threads; settles when none uses the old ones any more. */
export type PutInForce = (realms: Realms) => Promise<void>;

/** The realms of one munged. */
export class KeyStore {
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  #realms: Realms = new Map();
  /** What the files looked like when they were last read, and when they were last looked at. */
  #read = "";
  #seen = "";
  #putInForce: PutInForce = () => Promise.resolve();
  /** The change being made; the next one waits for it. */
  #change: Promise<void> = Promise.resolve();
  #watch: NodeJS.Timeout | undefined;

  /**
   * Reads all keys.
   *
   * @throws {MungeError} for the first file that is missing, insecure or no key, and for a limit on a realm
   * that does not exist.
   */
  constructor(config: DaemonConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
    const rings = new Map<string, readonly RingKey[]>();
    this.#read = this.#seen = this.#signature();
    for (const [name, keyFile] of this.#keyFiles()) rings.set(name, this.#readRing(keyFile));
    for (const { realm } of config.realmAllow) {
      if (rings.has(realm)) continue;
      throw new MungeError(
        "EMUNGE_SNAFU",
        `Failed to limit ${describeRealm(realm)}: no such realm`,
      );
    }
    this.#realms = this.#withLimits(rings);
    for (const [name, { ring }] of this.#realms) {
      if (name !== DEFAULT_REALM || ring.length > 1) log.info(describeRing(name, ring));
    }
    this.#warnOfSharedKeys();
  }

  /** The realms in force. */
  get realms(): Realms {
    return this.#realms;
  }

  /** Starts handing changes to the threads, and, unless benchmarking, looking for some. */
  start(putInForce: PutInForce): void {
    this.#putInForce = putInForce;
    if (this.#config.benchmark) return;
    this.#watch = setInterval(() => this.#look(), WATCH_INTERVAL_MS);
  }

  /** Reads the files again. What can't be read leaves its realm as it was, and an error in the log. */
  reload(): void {
    this.#enqueue(() => this.#readAgain());
  }

  /** Stops watching, after the change under way. */
  async stop(): Promise<void> {
    clearInterval(this.#watch);
    await this.#change;
  }

  /** Wipes all keys; no thread may use them any more. */
  wipe(): void {
    for (const { ring } of this.#realms.values()) {
      for (const { subkeys } of ring) wipeSubkeys(subkeys);
    }
  }

  #look(): void {
    let signature: string;
    try {
      signature = this.#signature();
    } catch (error) {
      this.#log.limited("key files", "error", systemText(error));
      this.#expire();
      return;
    }
    // Two equal looks, lest a file is taken that is being written.
    if (signature !== this.#read && signature === this.#seen) this.reload();
    else this.#expire();
    this.#seen = signature;
  }

  /** Drops keys whose time is over, whatever the files look like. */
  #expire(): void {
    if (this.#hasExpired()) this.#enqueue(() => this.#dropExpired());
  }

  #enqueue(change: () => ReadonlyMap<string, readonly RingKey[]>): void {
    this.#change = this.#change.then(() => this.#replace(this.#withLimits(change()))).catch(
      (error) => this.#log.error(`Failed to change keys: ${systemText(error)}`),
    );
  }

  #readAgain(): Map<string, readonly RingKey[]> {
    this.#read = this.#signature();
    const rings = new Map<string, readonly RingKey[]>();
    for (const [name, keyFile] of this.#keyFiles()) {
      const old = this.#realms.get(name)?.ring;
      try {
        rings.set(name, keepKnown(this.#readRing(keyFile), old ?? []));
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

  #dropExpired(): Map<string, readonly RingKey[]> {
    const time = now();
    return new Map(
      [...this.#realms].map((
        [name, { ring }],
      ) => [name, ring.filter((key) => !isExpired(key, time))]),
    );
  }

  /** Puts realms in force, says what is new in the log, and wipes the keys that are gone. */
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
    for (const [name, { ring }] of changed) this.#log.notice(describeRing(name, ring));
    for (const name of removed) this.#log.notice(`Removed ${describeRealm(name)}`);
    this.#warnOfSharedKeys();
    const kept = new Set(subkeysOf(realms));
    for (const subkeys of subkeysOf(before)) {
      if (!kept.has(subkeys)) wipeSubkeys(subkeys);
    }
  }

  #withLimits(rings: ReadonlyMap<string, readonly RingKey[]>): Map<string, Realm> {
    return new Map([...rings].map(([name, ring]) => {
      const limits = this.#config.realmAllow.filter(({ realm }) => realm === name);
      const allowed = limits.length === 0 ? null : {
        uids: limits.flatMap(({ uids }) => uids),
        gids: limits.flatMap(({ gids }) => gids),
      };
      return [name, { ring, allowed }];
    }));
  }

  /** The key file of each realm: what is named beats what lies in the realms' directory. */
  #keyFiles(): Map<string, string> {
    const { keyFile, realmDir, realms } = this.#config;
    const files = new Map([[DEFAULT_REALM, keyFile]]);
    for (const name of realmNames(realmDir)) {
      files.set(name, join(realmDir, `${name}${REALM_SUFFIX}`));
    }
    for (const { name, keyFile } of realms) files.set(name, keyFile);
    return files;
  }

  /** What all key files look like from outside: any change of one changes it. */
  #signature(): string {
    const lines: string[] = [];
    for (const [name, keyFile] of this.#keyFiles()) lines.push(`${name} ${fileSignature(keyFile)}`);
    return lines.join("\n");
  }

  #readRing(keyFile: string): RingKey[] {
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
        // A promotion moves files about; what was there a moment ago is under another name now.
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
    const key = readKeyFile(path, this.#config, this.#log);
    try {
      return shareSubkeys(deriveSubkeys(key, crypto));
    } finally {
      key.fill(0);
    }
  }

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

function isExpired({ expiry }: RingKey, time: number): boolean {
  return expiry !== null && expiry <= time;
}

function* subkeysOf(realms: Realms): Generator<Subkeys> {
  for (const { ring } of realms.values()) for (const { subkeys } of ring) yield subkeys;
}

/** `ring` with the memory of those of its keys that are known already; their second copy is wiped. */
function keepKnown(ring: readonly RingKey[], known: readonly RingKey[]): RingKey[] {
  return ring.map((key) => {
    const same = known.find(({ fingerprint }) => fingerprint === key.fingerprint);
    if (same === undefined) return key;
    wipeSubkeys(key.subkeys);
    return { ...key, subkeys: same.subkeys };
  });
}

/** `Keys of realm "x": active 0123456789abcdef, old fedcba9876543210 until 2026-11-21T23:00:00Z`. */
function describeRing(name: string, ring: readonly RingKey[]): string {
  const keys = ring.map(({ role, fingerprint, expiry }) => {
    const until = expiry === null ? "" : ` until ${new Date(expiry * 1000).toISOString()}`;
    return `${role} ${fingerprint}${until}`;
  });
  return `Keys of ${describeRealm(name)}: ${keys.join(", ")}`;
}

/** The subkeys in memory that workers share, so that wiping it wipes theirs too. */
function shareSubkeys({ dek, mac }: Subkeys): Subkeys {
  const share = (secret: Uint8Array) => {
    const shared = new Uint8Array(new SharedArrayBuffer(secret.length));
    shared.set(secret);
    secret.fill(0);
    return shared;
  };
  return { dek: share(dek), mac: share(mac) };
}

function changeTime(path: string): number {
  return Math.floor(statSync(path).mtimeMs / 1000);
}

/** What the files of a ring look like from outside. */
function fileSignature(keyFile: string): string {
  return KEY_ROLES.map((role) => {
    let stats: BigIntStats;
    try {
      stats = lstatSync(keyPath(keyFile, role), { bigint: true });
    } catch {
      return "-"; // reading it will tell why
    }
    const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = stats;
    return [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(":");
  }).join(" ");
}

/** The realms that have a key in the directory, if that exists. */
function realmNames(directory: string): string[] {
  let files: string[];
  try {
    files = readdirSync(directory).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return []; // the key beside it will be missed
    const text = `Failed to read realms directory "${directory}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
  return files.filter((file) => file.endsWith(REALM_SUFFIX))
    .map((file) => file.slice(0, -REALM_SUFFIX.length)).filter(isRealmName);
}
