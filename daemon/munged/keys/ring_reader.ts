// Reads the key files of a realm into memory that is locked if possible, and wipes everything else it has read.
import { lstatSync, statSync } from "node:fs";
import {
  deriveSubkeys,
  isSameKey,
  type Subkeys,
  wipeSubkeys,
} from "../../../lib/credential/subkeys.ts";
import { readKeyFile } from "../../../lib/keys/file.ts";
import {
  composeRing,
  type FoundKey,
  KEY_ROLES,
  keyPath,
  type RingKey,
} from "../../../lib/keys/ring.ts";
import type { SystemError } from "../../../lib/os/libc.ts";
import { freeSecret, newSecret, shareSecret } from "../../../lib/os/secret_memory.ts";
import { primitives } from "../../../lib/primitives/executable.ts";
import type { Logger } from "../../process/log.ts";
import { type DaemonConfig, keyRotationTime } from "../config.ts";
import { ringState } from "./key_files.ts";
import type { ServedKey } from "./realms.ts";
import { shareSubkeys, subkeysIn } from "./shared_subkeys.ts";

/** How often files that change while being read are read again. */
const MAX_READS = 10;

/** Reads the keys of one realm after another. */
export class RingReader {
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  #warnedOfSwap = false;

  constructor(config: DaemonConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /**
   * Reads the keys of a realm.
   *
   * @param known keys that are in force; those found again keep their memory.
   * @throws {MungeError} for a file that is missing, insecure or not a key.
   */
  read(keyFile: string, known: readonly ServedKey[]): ServedKey[] {
    return this.#readKeys(keyFile).map(({ subkeys, ...key }) => {
      const same = known.find(({ secret }) => isSameKey(subkeysIn(secret), subkeys));
      if (same === undefined) return { ...key, secret: shareSubkeys(subkeys, this.#warnOfSwap) };
      wipeSubkeys(subkeys);
      return { ...key, secret: same.secret };
    });
  }

  #readKeys(keyFile: string): RingKey[] {
    for (let reads = 1;; reads++) {
      const before = ringState(keyFile);
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
        if (ringState(keyFile) !== before && reads < MAX_READS) continue;
        throw error;
      }
      if (ringState(keyFile) === before || reads === MAX_READS) {
        return composeRing(found, Math.floor(Date.now() / 1000), keyRotationTime(this.#config));
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
}

function changeTime(path: string): number {
  return Math.floor(statSync(path).mtimeMs / 1000);
}
