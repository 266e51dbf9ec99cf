// The keys of all realms that are in force: notices changed files and expired keys, hands changes to all workers, and
// wipes keys that are no longer valid. key_files.ts finds the files, and ring_reader.ts reads them.
import { DEFAULT_REALM, describeRealm } from "../../../lib/credential/realm.ts";
import { MungeError } from "../../../lib/errors.ts";
import { freeSecret, secretAt, type SharedSecret } from "../../../lib/os/secret_memory.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { MAX_TIMER_MS } from "../../../lib/timer.ts";
import type { FileWatch } from "../../process/file_watch.ts";
import type { Logger } from "../../process/log.ts";
import type { DaemonConfig } from "../config.ts";
import { limitedRealms, resolvePolicy } from "../policy/policy.ts";
import { keyDirectories, keyFiles, keyFilesState } from "./key_files.ts";
import type { Realm, Realms, ServedKey } from "./realms.ts";
import { RingReader } from "./ring_reader.ts";
import { fingerprintOf } from "./shared_subkeys.ts";

/** A changed file takes effect once two checks this far apart see the same state. */
const RECHECK_MS = 1_000;

/** Hands new realms to all threads; settles when no thread uses the old ones any more. */
export type PutInForce = (realms: Realms) => Promise<void>;

/** The realms of one munged. */
export class KeyStore {
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  readonly #reader: RingReader;
  #realms: Realms = new Map();
  /** State of the files when they were last read, and when they were last checked. */
  #read = "";
  #seen = "";
  #putInForce: PutInForce = () => Promise.resolve();
  /** The change in progress; the next one waits for it. */
  #change: Promise<void> = Promise.resolve();
  #recheck: NodeJS.Timeout | undefined;
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
    this.#reader = new RingReader(config, log);
    const rings = new Map<string, readonly ServedKey[]>();
    this.#read = this.#seen = keyFilesState(this.#config);
    for (const [name, keyFile] of keyFiles(this.#config)) {
      rings.set(name, this.#reader.read(keyFile, []));
    }
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
    watch.add(() => keyDirectories(this.#config), () => this.#look());
    this.#armExpiry();
  }

  /** Reads the files again. If one can't be read, its realm stays as it was, and an error is logged. */
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
      signature = keyFilesState(this.#config);
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
    }, Math.min(wait, MAX_TIMER_MS));
  }

  #enqueue(change: () => ReadonlyMap<string, readonly ServedKey[]>): void {
    this.#change = this.#change.then(() => this.#replace(this.#withPolicies(change()))).catch(
      (error) => this.#log.error(`Failed to change keys: ${systemText(error)}`),
    );
  }

  #readAgain(): Map<string, readonly ServedKey[]> {
    this.#read = keyFilesState(this.#config);
    const rings = new Map<string, readonly ServedKey[]>();
    for (const [name, keyFile] of keyFiles(this.#config)) {
      const old = this.#realms.get(name)?.ring;
      try {
        rings.set(name, this.#reader.read(keyFile, old ?? []));
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

  #warnOfSharedKeys(): void {
    if (this.#realms.size === 1) return; // the usual case: startup then needs no fingerprint
    const realmOf = new Map<string, string>();
    for (const [name, { ring }] of this.#realms) {
      for (const fingerprint of ring.map(fingerprintOf)) {
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
  const keys = ring.map((key) => {
    const { role, expiry } = key;
    const until = expiry === null ? "" : ` until ${new Date(expiry * 1000).toISOString()}`;
    return `${role} ${fingerprintOf(key)}${until}`;
  });
  return `Keys of ${describeRealm(name)}: ${keys.join(", ")}`;
}
