// The credential cache of a job: names it, checks it for the user's ticket, and destroys it. Runs as the job's user, who
// owns the cache.
import { closeSync, openSync } from "node:fs";
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
      `ccache=${template} has ${whole}; there are %u, %j, %s and %%`,
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
  try {
    const tickets = readTickets(context, name);
    const { endTime } = tickets.tgt;
    tickets.free();
    return endTime > Date.now() / 1000;
  } catch (error) {
    if (error instanceof AuksError) return false;
    throw error;
  }
}

/** Makes a cache the primary one of its collection, if its type has collections. @throws {KerberosError} */
export function makePrimary(context: Context, name: string): void {
  using cache = openCache(context, name);
  if (cache.type !== "FILE" && supportsSwitch(context, cache.type)) cache.switchTo();
}

/** Destroys a cache, if it still exists. @throws {AuksError} */
export function destroyCache(context: Context, name: string): void {
  try {
    openCache(context, name).destroy();
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    if (error.code === KRB5.FCC_NOFILE || error.code === KRB5.CC_NOTFOUND) return;
    throw new AuksError("KRB5_CCACHE_OPEN", `${name}: ${error.message}`);
  }
}
