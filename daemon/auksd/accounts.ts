// Maps principals to local users and hosts to addresses, and caches the results for a short while. Separate threads look
// them up, because the name service may be slow (lookup_threads.ts).
import { AuksError } from "../../lib/auks/errors.ts";
import { LookupThreads } from "./lookup_threads.ts";

/** How long a user is cached, and how long its absence. */
const KNOWN_MS = 60_000;
const UNKNOWN_MS = 5_000;
/** Maximum number of cached principals; few sites have more users. */
const REMEMBERED_MAX = 65_536;
interface Remembered {
  readonly outcome: number | AuksError;
  readonly until: number;
}

/** The accounts of this host. */
export class Accounts {
  readonly #remembered = new Map<string, Remembered>();
  readonly #asked = new Map<string, Promise<number>>();
  readonly #threads: LookupThreads;
  /** Counts the configurations, so that answers obtained under an old one are not cached. */
  #generation = 0;

  /** @param complain called if the thread dies; another one replaces it. */
  constructor(complain: (text: string) => void) {
    this.#threads = new LookupThreads(complain);
  }

  /**
   * The cached UID of a principal, if any.
   *
   * @throws {AuksError} if its absence is cached.
   */
  recall(principal: string): number | undefined {
    const found = this.#remembered.get(principal);
    if (found === undefined || performance.now() >= found.until) return undefined;
    if (found.outcome instanceof AuksError) throw found.outcome;
    return found.outcome;
  }

  /**
   * The UID of the local user for a principal.
   *
   * @throws {AuksError} CRED_NO_LOCAL_NAME, CRED_NO_ACCOUNT, or GENERIC if the name service takes too long.
   */
  uidOf(principal: string): Promise<number> {
    try {
      const uid = this.recall(principal);
      if (uid !== undefined) return Promise.resolve(uid);
    } catch (error) {
      return Promise.reject(error);
    }
    const asked = this.#asked.get(principal) ?? this.#lookUp(principal);
    this.#asked.set(principal, asked);
    return asked;
  }

  async #lookUp(principal: string): Promise<number> {
    try {
      const generation = this.#generation;
      const { uid, error = "GENERIC", reason } = await this.#threads.ask({ principal });
      const outcome = uid ?? new AuksError(error, reason);
      const isKnown = error !== "GENERIC" || uid !== undefined;
      if (isKnown && generation === this.#generation) this.#remember(principal, outcome);
      if (outcome instanceof AuksError) throw outcome;
      return outcome;
    } finally {
      this.#asked.delete(principal);
    }
  }

  #remember(principal: string, outcome: number | AuksError): void {
    this.#remembered.delete(principal);
    if (this.#remembered.size >= REMEMBERED_MAX) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    const lasts = outcome instanceof AuksError ? UNKNOWN_MS : KNOWN_MS;
    this.#remembered.set(principal, { outcome, until: performance.now() + lasts });
  }

  /** The addresses of a host, 4 or 16 bytes each; none if it has none, or the answer is late. */
  async addressesOf(host: string): Promise<readonly Uint8Array[]> {
    return (await this.#threads.ask({ host })).addresses ?? [];
  }

  /** Forgets everything, including krb5.conf; questions in progress are still answered. */
  forget(): void {
    this.#generation++;
    this.#remembered.clear();
    this.#asked.clear();
    this.#threads.renew();
  }

  /** Ends the threads, and refuses waiting questions. */
  stop(): void {
    this.#threads.stop();
  }
}
