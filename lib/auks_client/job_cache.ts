// The credential cache of a job: names it, checks it for the user's ticket, and destroys it. Runs as the job's user, who
// owns the cache.
import { closeSync, openSync, statSync } from "node:fs";
import { AuksError } from "../auks/errors.ts";
import { type Context, KerberosError, KRB5 } from "../krb5/context.ts";
import { CredentialCache, supportsSwitch } from "../krb5/credential_cache.ts";
import { systemText } from "../os/system_text.ts";
import { openCache, readTickets } from "./credential_cache.ts";

/** The values that the name of a cache can contain. */
export interface JobNames {
  readonly uid: number;
  readonly job: number;
  readonly step: number;
}

/** The end of a template that is replaced to make the name unique. */
const UNIQUE = "XXXXXX";
const CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/**
 * Fills in a template: %u is the UID, %j the job, %s the step, %% a percent sign.
 *
 * @throws {AuksError} KRB5_CCACHE_OPEN for any other letter after a percent sign.
 */
export function expandTemplate(template: string, { uid, job, step }: JobNames): string {
  const values: Readonly<Record<string, string>> = {
    u: `${uid}`,
    j: `${job}`,
    s: `${step}`,
    "%": "%",
  };
  return template.replace(/%(.?)/g, (whole, letter: string) => {
    const value = values[letter];
    if (value !== undefined) return value;
    throw new AuksError(
      "KRB5_CCACHE_OPEN",
      `ccache=${template} contains ${whole}; only %u, %j, %s and %% are known`,
    );
  });
}

/**
 * The name of a cache for a job.
 *
 * @param template as for {@linkcode expandTemplate}, ending in XXXXXX for a unique name; "" for a new cache of the
 * default type.
 * @throws {AuksError} KRB5_CCACHE_OPEN or KRB5_CCACHE_INIT.
 */
export function nameJobCache(context: Context, template: string, names: JobNames): string {
  if (template === "") {
    using usual = openCache(context, undefined);
    try {
      using cache = CredentialCache.unique(context, usual.type);
      return cache.name;
    } catch (error) {
      if (!(error instanceof KerberosError)) throw error;
      throw new AuksError(
        "KRB5_CCACHE_INIT",
        `a new cache of type ${usual.type}: ${error.message}`,
      );
    }
  }
  const name = expandTemplate(template, names);
  return name.endsWith(UNIQUE) ? createUnique(name.slice(0, -UNIQUE.length)) : name;
}

/** Destroys a cache that could not be filled, if {@linkcode nameJobCache} created it, so that nobody else can be using it. */
export function discardNewCache(context: Context, template: string, name: string): void {
  if (template !== "" && !template.endsWith(UNIQUE)) return;
  try {
    destroyCache(context, name);
  } catch (error) {
    if (!(error instanceof AuksError)) throw error; // only the failure to fill it is reported
  }
}

function createUnique(beginning: string): string {
  for (;;) {
    const random = crypto.getRandomValues(new Uint32Array(UNIQUE.length));
    const name = beginning + [...random].map((n) => CHARACTERS[n % CHARACTERS.length]).join("");
    try {
      closeSync(openSync(name.replace(/^FILE:/, ""), "wx", 0o600));
      return name;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw new AuksError("KRB5_CCACHE_INIT", `${name}: ${systemText(error)}`);
    }
  }
}

/** Whether a cache holds a ticket-granting ticket that has not expired. */
export function holdsTicket(context: Context, name: string): boolean {
  return endOfTicket(context, name) > Date.now() / 1000;
}

/** When a cache's ticket-granting ticket expires, seconds since the epoch; 0 if it holds none. */
function endOfTicket(context: Context, name: string): number {
  try {
    if (!canBeRead(context, name)) return 0;
    const tickets = readTickets(context, name);
    const { endTime } = tickets.tgt;
    tickets.free();
    return endTime;
  } catch (error) {
    if (error instanceof AuksError) return 0;
    throw error;
  }
}

/**
 * Makes a change that may switch a collection to another primary cache, and switches back: sssd's KCM makes each new cache
 * the primary one.
 *
 * @param change returns the name of the cache that may have become the primary one.
 * @throws {AuksError | KerberosError}
 */
export function keepPrimary(context: Context, change: () => string): string {
  using before = openCache(context, undefined);
  const primary = before.name;
  const name = change();
  const collection = collectionOf(name);
  if (collection !== undefined && primary !== name && exists(context, primary)) {
    if (primaryOf(context, collection) === name) makePrimary(context, primary);
  }
  return name;
}

function exists(context: Context, name: string): boolean {
  using cache = openCache(context, name);
  try {
    cache.principal().free();
    return true;
  } catch (error) {
    if (error instanceof KerberosError) return false;
    throw error;
  }
}

/** False for a pipe or a device, which could keep libkrb5 waiting or reading forever. */
function canBeRead(context: Context, name: string): boolean {
  using cache = openCache(context, name);
  const path = /^FILE:(.*)$/s.exec(cache.name)?.[1];
  if (path === undefined) return true;
  try {
    return statSync(path).isFile();
  } catch {
    return false; // what can't be examined can't be read either
  }
}

/** Makes a cache the primary one of its collection, if its type has collections. @throws {KerberosError} */
export function makePrimary(context: Context, name: string): void {
  using cache = openCache(context, name);
  if (cache.type !== "FILE" && supportsSwitch(context, cache.type)) cache.switchTo();
}

/**
 * Destroys a cache, if it still exists. If it was the primary one of its collection, the cache with the ticket that
 * expires last takes its place: otherwise, the user's own caches could no longer be found.
 *
 * @throws {AuksError}
 */
export function destroyCache(context: Context, name: string): void {
  try {
    const collection = collectionOf(name);
    const wasPrimary = collection !== undefined && primaryOf(context, collection) === name;
    openCache(context, name).destroy();
    if (wasPrimary) chooseNewPrimary(context, collection);
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    if (error.code === KRB5.FCC_NOFILE || error.code === KRB5.CC_NOTFOUND) return;
    throw new AuksError("KRB5_CCACHE_OPEN", `${name}: ${error.message}`);
  }
}

/** The collection that a cache belongs to; undefined for types without collections. */
function collectionOf(name: string): string | undefined {
  const directory = /^DIR::(.*)\/[^/]*$/s.exec(name)?.[1];
  if (directory !== undefined) return `DIR:${directory}`;
  if (name.startsWith("KCM:")) return "KCM:"; // the user's only one
  return /^(KEYRING:.*):[^:]*$/s.exec(name)?.[1];
}

function primaryOf(context: Context, collection: string): string {
  using cache = openCache(context, collection);
  return cache.name;
}

function chooseNewPrimary(context: Context, collection: string): void {
  const caches = CredentialCache.collection(context, collection);
  try {
    const [best] = caches
      .map((cache) => ({ cache, end: endOfTicket(context, cache.name) }))
      .sort((one, other) => other.end - one.end);
    best?.cache.switchTo();
  } finally {
    for (const cache of caches) cache.close();
  }
}
