// Credential caches as AUKS's clients use them: reads the TGTs of a cache and replaces them. A reader of the cache sees
// either the old tickets or the new ones, never none.
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  renameSync,
  statSync,
} from "node:fs";
import { AuksError } from "../auks/errors.ts";
import { refuseDevice, removeRemains } from "../files/replacement.ts";
import { type Context, KerberosError, KRB5 } from "../krb5/context.ts";
import type { Credential } from "../krb5/credential.ts";
import { CredentialCache } from "../krb5/credential_cache.ts";
import { systemText } from "../os/system_text.ts";
import { uidOf } from "./local_user.ts";

/** The tickets in a cache, in libkrb5's memory; {@linkcode free} wipes them. */
export interface CachedTickets {
  /** The cache's full name, such as `FILE:/tmp/krb5cc_2000`. */
  readonly cacheName: string;
  /** The principal, such as `bob@REALM.A`. */
  readonly principal: string;
  /** The TGT for the principal's own realm that expires last. */
  readonly tgt: Credential;
  /** A TGT for another realm, if any. */
  readonly crossRealm: Credential | undefined;
  /** Tickets for services. */
  readonly services: readonly Credential[];
  free(): void;
}

/**
 * Opens a cache, which need not exist.
 *
 * @param name `TYPE:REST` or the path of a file; undefined for the default one.
 * @throws {AuksError} KRB5_CCACHE_OPEN.
 */
export function openCache(context: Context, name: string | undefined): CredentialCache {
  try {
    return name === undefined
      ? CredentialCache.default(context)
      : CredentialCache.resolve(context, name);
  } catch (error) {
    throw explain(error, "KRB5_CCACHE_OPEN", name ?? "the default credential cache");
  }
}

/**
 * Reads the tickets of a cache.
 *
 * @param name as for {@linkcode openCache}.
 * @throws {AuksError} KRB5_CCACHE_OPEN, KRB5_CCACHE_READ or KRB5_NO_TGT.
 */
export function readTickets(context: Context, name: string | undefined): CachedTickets {
  using cache = openCache(context, name);
  const all = readAll(cache);
  const { principal, realm, credentials } = all;
  const free = () => {
    for (const credential of credentials) credential.free();
  };
  const local = `krbtgt/${realm}@${realm}`;
  const isTgt = ({ server }: Credential) => server.startsWith("krbtgt/");
  const tgts = credentials.filter(({ server }) => server === local);
  if (tgts.length === 0) {
    free();
    throw new AuksError("KRB5_NO_TGT", `${all.name} has no ticket for ${local}`);
  }
  return {
    cacheName: all.name,
    principal,
    tgt: tgts.reduce((best, tgt) => tgt.endTime > best.endTime ? tgt : best),
    crossRealm: credentials.find((credential) =>
      isTgt(credential) && credential.server !== local && credential.server.endsWith(`@${realm}`)
    ),
    services: credentials.filter((credential) => !isTgt(credential)),
    free,
  };
}

/**
 * Refuses to use a cache file that belongs to another user. The default cache is in /tmp, where anyone can create it while
 * it is missing.
 *
 * @param name as for {@linkcode openCache}.
 * @throws {AuksError} KRB5_CCACHE_READ or KRB5_CCACHE_OPEN.
 */
export function requireOwnCache(context: Context, name: string | undefined): void {
  using cache = openCache(context, name);
  const path = /^FILE:(.*)$/s.exec(cache.name)?.[1];
  if (path === undefined) return;
  // First the link itself, if it is one. In a directory with the sticky bit, nobody else can replace it.
  for (const stat of [lstatSync, statSync]) {
    const stats = stat(path, { throwIfNoEntry: false });
    if (stats === undefined || stats.uid === 0 || stats.uid === process.geteuid!()) continue;
    throw new AuksError(
      "KRB5_CCACHE_READ",
      `${path} belongs to UID ${stats.uid}, who may have put it there`,
    );
  }
}

function readAll(cache: CredentialCache) {
  try {
    using owner = cache.principal();
    return {
      name: cache.name,
      principal: owner.text,
      realm: owner.realm,
      credentials: cache.credentials(),
    };
  } catch (error) {
    throw explain(error, "KRB5_CCACHE_READ", cache.name);
  }
}

/**
 * Replaces the contents of a cache with these tickets; the first one's client becomes the cache's principal.
 *
 * @param name as for {@linkcode openCache}.
 * @throws {AuksError} KRB5_CCACHE_OPEN, KRB5_CCACHE_INIT or KRB5_STORE; the cache is then unchanged, unless libkrb5 can't
 * replace a cache of this type atomically.
 */
export function replaceTickets(
  context: Context,
  name: string | undefined,
  credentials: readonly Credential[],
): void {
  using cache = openCache(context, name);
  const path = /^FILE:(.*)$/s.exec(cache.name)?.[1];
  if (path === undefined) fill(cache, credentials);
  else replaceFileCache(context, path, credentials);
}

/** Random bytes in the name of an unfinished file. */
const UNIQUE_BYTES = 8;

/**
 * Fills a new file beside the old one and renames it over that. Its name can't be guessed: otherwise, in /tmp, anyone could
 * create directories with all possible names, and so keep a host from renewing its ticket.
 */
function replaceFileCache(
  context: Context,
  path: string,
  credentials: readonly Credential[],
): void {
  const unfinished = `${path}.${crypto.getRandomValues(new Uint8Array(UNIQUE_BYTES)).toHex()}`;
  try {
    refuseDevice(path);
    using cache = openCache(context, `FILE:${unfinished}`);
    fill(cache, credentials);
    keepOwner(context, path, unfinished, credentials[0]!.client);
    renameSync(unfinished, path);
  } catch (error) {
    removeRemains(unfinished);
    const reason = error instanceof AuksError
      ? error.reason?.replaceAll(unfinished, path)
      : `${path}: ${systemText(error)}`;
    const name = error instanceof AuksError ? error.error : "KRB5_CCACHE_INIT";
    throw new AuksError(name, reason);
  }
}

/**
 * Keeps the owner of a cache that root replaces, but only if the tickets are that user's: anyone can create a file in /tmp
 * where another user's tickets will be.
 */
function keepOwner(context: Context, path: string, unfinished: string, principal: string): void {
  if (process.geteuid!() !== 0) return;
  const old = lstatSync(path, { throwIfNoEntry: false });
  if (!old?.isFile() || old.uid === 0 || old.uid !== accountOf(context, principal)) return;
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const fd = openSync(unfinished, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    // In one of the user's directories, another file may have taken its place.
    const made = fstatSync(fd);
    if (!made.isFile() || made.nlink !== 1) throw new Error("Replaced while it was written");
    fchownSync(fd, old.uid, old.gid);
  } finally {
    closeSync(fd);
  }
}

function accountOf(context: Context, principal: string): number | undefined {
  try {
    return uidOf(context, principal);
  } catch (error) {
    if (error instanceof AuksError) return undefined;
    throw error;
  }
}

function fill(cache: CredentialCache, credentials: readonly Credential[]): void {
  try {
    using principal = credentials[0]!.copyClient();
    cache.initialize(principal);
  } catch (error) {
    throw explain(error, "KRB5_CCACHE_INIT", cache.name);
  }
  try {
    for (const credential of credentials) cache.store(credential);
  } catch (error) {
    throw explain(error, "KRB5_STORE", cache.name);
  }
}

function explain(
  error: unknown,
  name: "KRB5_CCACHE_OPEN" | "KRB5_CCACHE_READ" | "KRB5_CCACHE_INIT" | "KRB5_STORE",
  cache: string,
): unknown {
  if (!(error instanceof KerberosError)) return error;
  const missing = error.code === KRB5.FCC_NOFILE && name === "KRB5_CCACHE_READ";
  return new AuksError(
    name,
    missing ? `no ticket: ${cache} does not exist` : `${cache}: ${error.message}`,
  );
}
