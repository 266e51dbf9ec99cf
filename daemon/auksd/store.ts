// auksd's credentials: one per user, in memory and in CacheDir. lib/auks/store_rules.ts decides which of two is better.
import { parseCcache, tgtsOf } from "../../lib/auks/ccache.ts";
import { formatCcache } from "../../lib/auks/ccache_writer.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { formatKrbCred } from "../../lib/auks/krb_cred_writer.ts";
import { type KrbCred, parseKrbCred } from "../../lib/auks/krb_cred.ts";
import { summarizeKrbCred } from "../../lib/auks/krb_cred_summary.ts";
import type { AddReport } from "../../lib/auks/reply.ts";
import type { PackedCredential } from "../../lib/auks/packed_credential.ts";
import { addOutcome, isStale } from "../../lib/auks/store_rules.ts";
import { copySecret } from "../../lib/bytes/secret.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { CacheDirectory } from "./cache_directory.ts";

/** The outcome of loading CacheDir. */
export interface LoadReport {
  readonly loaded: number;
  /** Why each of the others was skipped. */
  readonly skipped: readonly string[];
}

/** Number of files whose users are looked up at the same time, so that a slow look-up delays few others. */
const MAX_CONCURRENT_LOOKUPS = 64;

/** Finds the local user of a principal. */
export type FindUid = (principal: string) => Promise<number>;

/** How long a client has to renew a ticket that it has claimed; a working KDC answers sooner. */
const CLAIM_S = 10;

/** auksd's credentials. */
export class Store {
  readonly #byUid = new Map<number, PackedCredential>();
  /** The operation in progress for each user; the next one waits for it. */
  readonly #busy = new Map<number, Promise<unknown>>();
  /** When another client may renew each claimed ticket, in seconds since the epoch. */
  readonly #claims = new Map<number, number>();
  #directory: CacheDirectory;

  constructor(directory: CacheDirectory) {
    this.#directory = directory;
  }

  /** Number of users with a credential. */
  get size(): number {
    return this.#byUid.size;
  }

  /** A user's credential. */
  get(uid: number): PackedCredential | undefined {
    return this.#byUid.get(uid);
  }

  /**
   * Reserves the renewal of a ticket for one client, until it has added the new one or some seconds have passed.
   *
   * @returns false if another client has claimed it.
   */
  claim(uid: number): boolean {
    if (now() < (this.#claims.get(uid) ?? 0)) return false;
    this.#claims.set(uid, now() + CLAIM_S);
    return true;
  }

  /** All credentials in the order of the original's DUMP: by the UID's decimal string. */
  all(): PackedCredential[] {
    const byName = [...this.#byUid].map(([uid, credential]) => ({ name: String(uid), credential }));
    byName.sort((one, other) => one.name < other.name ? -1 : 1);
    return byName.map(({ credential }) => credential);
  }

  /**
   * Stores a credential unless there is a better one. It is in CacheDir as well once the promise settles.
   *
   * @param cred the parsed `krbCred`.
   * @param krbCred the KRB-CRED, which is copied.
   * @throws {AuksError} if the file can't be written; then nothing changes.
   */
  add(uid: number, cred: KrbCred, krbCred: Uint8Array): Promise<AddReport> {
    const kept = copySecret(krbCred);
    const { credentials } = cred;
    const file = formatCcache(credentials[0]!.client, credentials);
    const summary = summarizeKrbCred(cred);
    return this.#inTurn(uid, async () => {
      const stored = this.#byUid.get(uid);
      const outcome = addOutcome(stored, summary, now());
      if (outcome === "stored") {
        try {
          await this.#directory.write(uid, file);
        } catch (error) {
          kept.fill(0);
          throw error;
        }
        this.#put({ ...summary, uid, krbCred: kept });
      } else {
        file.fill(0);
        kept.fill(0);
      }
      this.#claims.delete(uid); // only now: the next client to claim it must find the new ticket
      const { endtime, renewTill } = outcome === "stored" ? summary : stored!;
      return { outcome, uid, endtime, renewTill };
    });
  }

  /**
   * Removes a user's credential and its file.
   *
   * @returns false if there was none.
   * @throws {AuksError} if the file can't be removed; then nothing changes.
   */
  remove(uid: number): Promise<boolean> {
    return this.#inTurn(uid, async () => {
      if (!this.#byUid.has(uid)) return false;
      await this.#directory.remove(uid);
      this.#drop(uid);
      return true;
    });
  }

  /** Removes stale credentials. @returns their number, and the reasons why others could not be removed. */
  async clean(): Promise<{ removed: number; failures: string[] }> {
    const failures: string[] = [];
    let removed = 0;
    const stale = [...this.#byUid.values()].filter((each) => isStale(each, now()));
    await Promise.all(stale.map(({ uid }) =>
      this.#inTurn(uid, async () => {
        const found = this.#byUid.get(uid);
        if (found === undefined || !isStale(found, now())) return; // replaced by a better one
        try {
          await this.#directory.remove(uid);
          this.#drop(uid);
          removed++;
        } catch (error) {
          failures.push(systemText(error));
        }
      })
    ));
    return { removed, failures };
  }

  /**
   * Reads CacheDir by the rules of ADD: a better credential in memory stays.
   *
   * @throws {AuksError} if the directory can't be read.
   */
  async load(findUid: FindUid): Promise<LoadReport> {
    const skipped: string[] = [];
    let loaded = 0;
    const names = this.#directory.names();
    for (let at = 0; at < names.length; at += MAX_CONCURRENT_LOOKUPS) {
      await Promise.all(
        names.slice(at, at + MAX_CONCURRENT_LOOKUPS).map(async (name) => {
          try {
            await this.#loadFile(name, findUid);
            loaded++;
          } catch (error) {
            skipped.push(`${name}: ${systemText(error)}`);
          }
        }),
      );
    }
    return { loaded, skipped };
  }

  async #loadFile(name: string, findUid: FindUid): Promise<void> {
    const bytes = this.#directory.read(name);
    try {
      const credentials = tgtsOf(parseCcache(bytes));
      if (credentials.length === 0) throw new AuksError("KRB5_NO_TGT");
      const made = Date.now();
      const krbCred = formatKrbCred({
        credentials,
        timestamp: Math.floor(made / 1000),
        usec: (made % 1000) * 1000,
      });
      const summary = summarizeKrbCred(parseKrbCred(krbCred));
      const uid = await findUid(summary.principal);
      await this.#inTurn(uid, () => {
        const isBetter = addOutcome(this.#byUid.get(uid), summary, now()) === "stored";
        // It may have been removed during the look-up of its user.
        if (isBetter && this.#directory.has(name)) this.#put({ ...summary, uid, krbCred });
        else krbCred.fill(0);
        return Promise.resolve();
      });
    } finally {
      bytes.fill(0);
    }
  }

  /**
   * Writes all credentials to CacheDir after it has been changed.
   *
   * @throws {AuksError} KRB5_STORE if one of them can't be written.
   */
  async writeAll(): Promise<void> {
    await Promise.all([...this.#byUid.keys()].map((uid) =>
      this.#inTurn(uid, async () => {
        const found = this.#byUid.get(uid);
        if (found === undefined) return; // already removed
        const { credentials } = parseKrbCred(found.krbCred);
        await this.#directory.write(uid, formatCcache(credentials[0]!.client, credentials));
      })
    ));
  }

  /** Uses another CacheDir from now on; {@linkcode load} and {@linkcode writeAll} then synchronize it. */
  async moveTo(directory: CacheDirectory): Promise<void> {
    const old = this.#directory;
    if (directory.path === old.path) {
      old.sync = directory.sync;
      return;
    }
    this.#directory = directory;
    await old.stop();
  }

  /** Completes all writes, and wipes the credentials in memory. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#busy.values());
    await this.#directory.stop();
    for (const uid of [...this.#byUid.keys()]) this.#drop(uid);
  }

  #put(credential: PackedCredential): void {
    this.#drop(credential.uid);
    this.#byUid.set(credential.uid, credential);
  }

  #drop(uid: number): void {
    this.#byUid.get(uid)?.krbCred.fill(0);
    this.#byUid.delete(uid);
  }

  /** Runs the operations of one user one after another. */
  #inTurn<T>(uid: number, task: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(uid);
    const done = before === undefined ? task() : before.then(task, task);
    const settled = done.catch(() => {}).finally(() => {
      if (this.#busy.get(uid) === settled) this.#busy.delete(uid);
    });
    this.#busy.set(uid, settled);
    return done;
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
