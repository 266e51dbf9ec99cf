// The value of --replay-store: URLs of the servers, all of one kind and with the same user. The password is never in them.
import type { StoreAddress, StoreKind, StoreLocation } from "../../daemon/munged/config.ts";
import { MungeError } from "../../lib/errors.ts";

/** More replicas than any store has. */
export const MAX_REPLICAS = 100;
/** Below the two seconds after which clients give up and retry. */
export const MAX_STORE_TIMEOUT_MS = 1_500;

/** The meaning of a URL's scheme. */
interface Scheme {
  readonly name: string;
  readonly kind: StoreKind;
  readonly tls: boolean;
  readonly port: number;
}

const SCHEMES: readonly Scheme[] = [
  { name: "redis", kind: "single", tls: false, port: 6379 },
  { name: "rediss", kind: "single", tls: true, port: 6379 },
  { name: "redis+sentinel", kind: "sentinel", tls: false, port: 26379 },
  { name: "rediss+sentinel", kind: "sentinel", tls: true, port: 26379 },
  { name: "redis+cluster", kind: "cluster", tls: false, port: 6379 },
  { name: "rediss+cluster", kind: "cluster", tls: true, port: 6379 },
];

/** `scheme://[user@]host[:port][/master]` */
const URL_PATTERN =
  /^(?<scheme>[a-z+]+):\/\/(?:(?<user>[^@/:]*)@)?(?<host>\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+)(?::(?<port>\d{1,5}))?(?:\/(?<master>[\w.-]*))?$/;

/** The meaning of one URL. */
type Parsed = Scheme & { user: string; master: string; server: StoreAddress };

/**
 * The store that URLs name.
 *
 * @throws {MungeError} that does not contain the value, because someone may have put a password into it.
 */
export function parseStore(value: string): StoreLocation {
  if (/:\/\/[^@/]*:[^/]*@/.test(value)) {
    refuse("It contains a password; use --replay-store-password-file");
  }
  const [first, ...others] = value.split(",").map(parseUrl);
  const { kind, tls, user, master, server } = first!;
  for (const other of others) {
    const agrees = other.kind === kind && other.tls === tls && other.user === user &&
      other.master === master;
    if (!agrees) refuse("Its URLs differ in more than host and port");
  }
  if (kind === "single" && others.length > 0) {
    refuse("Several stand-alone servers don't share what they know; use Sentinel or a cluster");
  }
  if (kind === "sentinel" && master === "") refuse("No master name after the host");
  if (kind !== "sentinel" && master !== "") refuse("Text after the host");
  return { kind, tls, user, servers: [server, ...others.map((other) => other.server)], master };
}

/** The URLs of a store. */
export function formatStore({ kind, tls, user, servers, master }: StoreLocation): string {
  const scheme = SCHEMES.find((each) => each.kind === kind && each.tls === tls)!.name;
  const who = user === "" ? "" : `${encodeURIComponent(user)}@`;
  const path = master === "" ? "" : `/${master}`;
  return servers.map(({ host, port }) => {
    const address = host.includes(":") ? `[${host}]` : host;
    return `${scheme}://${who}${address}:${port}${path}`;
  }).join(",");
}

function parseUrl(url: string): Parsed {
  const parts = URL_PATTERN.exec(url)?.groups;
  const scheme = SCHEMES.find(({ name }) => name === parts?.["scheme"]);
  const port = Number(parts?.["port"] ?? scheme?.port);
  if (parts === undefined || scheme === undefined || port < 1 || port > 65535) {
    refuse(`Not of the form ${SCHEMES.map(({ name }) => name).join("|")}://[USER@]HOST[:PORT]`);
  }
  const host = parts["host"]!.replace(/^\[|\]$/g, "");
  return {
    ...scheme,
    user: decodeUser(parts["user"] ?? ""),
    master: parts["master"] ?? "",
    server: { host, port },
  };
}

function decodeUser(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse("The user is not valid percent-encoding");
  }
}

function refuse(reason: string): never {
  throw new MungeError("EMUNGE_SNAFU", `Invalid value for replay-store: ${reason}`);
}
