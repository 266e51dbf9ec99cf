/**
 * AUKS for programs: sends a user's Kerberos ticket to auksd; fetches, removes and lists tickets. For Bun, on a host
 * with MIT Kerberos and an `auks.conf`; in other runtimes every call rejects.
 *
 * A libkrb5 call blocks the event loop while it waits for a KDC.
 *
 * @example
 * ```ts
 * import { add, get } from "mungebox/auks";
 *
 * if ("Bun" in globalThis && process.env["AUKS_CONF"] !== undefined) {
 *   // "stored"
 *   console.log((await add()).outcome);
 *   const { principal, endTime } = await get(2000, { into: "/tmp/krb5cc_job" });
 *   // "bob@REALM.A" 2026-11-27T10:37:31.000Z
 *   console.log(principal, endTime);
 * }
 * ```
 *
 * @module
 */
import { createRequire } from "node:module";
import { AuksError } from "../auks/errors.ts";

import type {
  AddedTicket,
  AddOptions,
  AuksOptions,
  ForwardedTicket,
  GetOptions,
} from "./call_types.ts";

export type {
  AddedTicket,
  AddOptions,
  AuksOptions,
  ForwardedTicket,
  GetOptions,
} from "./call_types.ts";
export { AUKS_ERRORS, AuksError, type AuksErrorName } from "../auks/errors.ts";

/** The module with the calls, which imports Bun's modules. */
interface Calls {
  add(options: AddOptions): Promise<AddedTicket>;
  get(uid: number, options: GetOptions): Promise<ForwardedTicket>;
  remove(uid: number, options: AuksOptions): Promise<void>;
  list(options: AuksOptions): Promise<ForwardedTicket[]>;
}

/** @throws {AuksError} in a runtime without Bun's foreign function interface. */
function calls(): Calls {
  if (!("Bun" in globalThis)) {
    throw new AuksError("LIBRARY_INIT", "mungebox/auks works in Bun only, as it calls libkrb5");
  }
  // Without an extension, because the file is .ts here and .js in the npm package. Bundlers don't follow this.
  return createRequire(import.meta.url)("./calls") as Calls;
}

/**
 * Sends the ticket-granting ticket of a credential cache to auksd.
 *
 * @param options where auksd and the ticket are.
 * @returns what was sent, and whether auksd stored it.
 * @throws {AuksError} with the original's error, and the reason behind it.
 *
 * @example
 * ```ts
 * import { add } from "mungebox/auks";
 *
 * if ("Bun" in globalThis && process.env["AUKS_CONF"] !== undefined) {
 *   const { principal, outcome } = await add({ from: "/tmp/krb5cc_2000" });
 *   // "bob@REALM.A" "stored"
 *   console.log(principal, outcome);
 * }
 * ```
 */
export async function add(options: AddOptions = {}): Promise<AddedTicket> {
  return await calls().add(options);
}

/**
 * Fetches the ticket of a user.
 *
 * @param uid of the user.
 * @param options where auksd is, and which cache to fill.
 * @returns the ticket's owner and times.
 * @throws {AuksError} with the original's error, and the reason behind it; the cache is then unchanged.
 *
 * @example
 * ```ts
 * import { get } from "mungebox/auks";
 *
 * if ("Bun" in globalThis && process.env["AUKS_CONF"] !== undefined) {
 *   // true
 *   console.log((await get(2000, { into: "KEYRING:persistent:2000" })).endTime > new Date());
 * }
 * ```
 */
export async function get(uid: number, options: GetOptions = {}): Promise<ForwardedTicket> {
  return await calls().get(uid, options);
}

/**
 * Makes auksd remove the ticket of a user.
 *
 * @param uid of the user.
 * @param options where auksd is.
 * @returns once it is removed.
 * @throws {AuksError} with the original's error, and the reason behind it.
 *
 * @example
 * ```ts
 * import { remove } from "mungebox/auks";
 *
 * if ("Bun" in globalThis && process.env["AUKS_CONF"] !== undefined) await remove(2000);
 * ```
 */
export async function remove(uid: number, options: AuksOptions = {}): Promise<void> {
  await calls().remove(uid, options);
}

/**
 * Lists all tickets that auksd keeps. For admins only.
 *
 * @param options where auksd is.
 * @returns the tickets, in auksd's order.
 * @throws {AuksError} with the original's error, and the reason behind it.
 *
 * @example
 * ```ts
 * import { list } from "mungebox/auks";
 *
 * if ("Bun" in globalThis && process.env["AUKS_CONF"] !== undefined) {
 *   for (const { principal, endTime } of await list()) console.log(principal, endTime);
 * }
 * ```
 */
export async function list(options: AuksOptions = {}): Promise<ForwardedTicket[]> {
  return await calls().list(options);
}
