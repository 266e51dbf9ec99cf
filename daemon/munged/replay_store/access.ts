// How a server is reached: its URL, the password from its file, and the authorities to trust. Read again for each
// connection, so that a new password is used without a restart.
import { readFileSync } from "node:fs";
import { checkFile } from "../../../lib/files/security.ts";
import { MungeError } from "../../../lib/errors.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import type { StoreAddress } from "../config.ts";
import type { StoreConfig } from "./messages.ts";

/** What it takes to connect. */
export interface Access {
  readonly user: string;
  /** "" for none. */
  readonly password: string;
  /** Null without TLS; `ca` undefined for the system's authorities. */
  readonly tls: { readonly ca: string | undefined } | null;
}

/** A longer line is not a password. */
const MAX_PASSWORD_LENGTH = 4096;

/** Reads what it takes to connect. @throws {MungeError} that names the file. */
export function readAccess(config: StoreConfig): Access {
  const { replayStore: { user, tls }, replayStorePasswordFile, replayStoreCaFile } = config;
  return {
    user,
    password: replayStorePasswordFile === null ? "" : readPassword(replayStorePasswordFile, config),
    tls: tls
      ? { ca: replayStoreCaFile === null ? undefined : readText("CA file", replayStoreCaFile) }
      : null,
  };
}

function readPassword(path: string, config: StoreConfig): string {
  checkFile("password", path, config, { warning: () => {} });
  const [password = ""] = readText("password file", path).split(/\r?\n/);
  if (password === "" || password.length > MAX_PASSWORD_LENGTH) {
    throw new MungeError("EMUNGE_SNAFU", `No password in the first line of "${path}"`);
  }
  return password;
}

function readText(what: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const text = `Failed to read the replay store's ${what} "${path}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
}

/** The URL for the client, which never leaves this process. */
export function secretUrl({ host, port }: StoreAddress, { user, password, tls }: Access): string {
  const login = user === "" && password === ""
    ? ""
    : `${encodeURIComponent(user || "default")}:${encodeURIComponent(password)}@`;
  return `${tls === null ? "redis" : "rediss"}://${login}${formatHost(host)}:${port}`;
}

/** An address in messages. */
export function formatAddress({ host, port }: StoreAddress): string {
  return `${formatHost(host)}:${port}`;
}

function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
