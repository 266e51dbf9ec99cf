// How many requests of each user wait for files, accounts or the other auksd. Their connections can't make room for others,
// and what they need stays in memory, even if the client is gone.
import type { Role } from "../../lib/auks/acl.ts";
import { AuksError } from "../../lib/auks/errors.ts";

/** The requests in progress, by principal. Those of admins, who act for other users, are not limited. */
export class InProgress {
  readonly #most: number;
  readonly #counts = new Map<string, number>();

  /** @param most requests of one user at a time. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Runs a request. @throws {AuksError} AUKSD_PROCESSING if too many of the same user are in progress. */
  run<T>(
    { principal, role }: { readonly principal: string; readonly role: Role },
    request: () => Promise<T>,
  ): Promise<T> {
    if (role === "admin") return request();
    const count = this.#counts.get(principal) ?? 0;
    if (count >= this.#most) {
      const reason = `${count} requests of ${principal} are in progress`;
      throw new AuksError("AUKSD_PROCESSING", reason);
    }
    this.#counts.set(principal, count + 1);
    return request().finally(() => this.#end(principal));
  }

  #end(principal: string): void {
    const others = this.#counts.get(principal)! - 1;
    if (others === 0) this.#counts.delete(principal);
    else this.#counts.set(principal, others);
  }
}
