// auks.acl: which principal may do what, and from where. Parses the rules, finds a client's role, and collects warnings for
// the administrator.
import { AuksError } from "./errors.ts";
import { expressionWarnings } from "./expression_warnings.ts";
import { type Block, parseBlocks, type Setting } from "./grammar.ts";
import { parseAddress, sameAddress } from "../bytes/host_address.ts";
import { compileRegex, type PosixRegex, RegexError } from "./posix_regex.ts";

/** A client's role; a client without one gets no answer. */
export type Role = "admin" | "user" | "guest";

/** Whose credentials a request may access. */
export type Reach = "any" | "own" | "none";

/** The rights of a role. */
export interface Rights {
  readonly add: Reach;
  readonly get: Reach;
  readonly remove: Reach;
  readonly dump: boolean;
}

/** The rights of each role. Every client with a role may PING and LIST. */
export const RIGHTS: { readonly [role in Role]: Rights } = {
  admin: { add: "any", get: "any", remove: "any", dump: true },
  user: { add: "own", get: "own", remove: "own", dump: false },
  guest: { add: "own", get: "none", remove: "none", dump: false },
};

/** A rule of the file. */
export interface AclRule {
  /** The expression in use. */
  readonly principal: string;
  /** `*`, an address or a name. */
  readonly host: string;
  readonly role: Role;
  /** Line in the file, from 1. */
  readonly line: number;
  /** `"all"` for `*`; undefined for an expression that does not compile, which matches no principal. */
  readonly regex: PosixRegex | "all" | undefined;
}

/** The rules of a file. */
export interface Acl {
  /** The first match decides. */
  readonly rules: readonly AclRule[];
  /** Warnings for the administrator, with file and line. */
  readonly warnings: readonly string[];
}

/** Addresses of the hosts in rules, as listed by {@linkcode aclHosts}. */
export type HostAddresses = ReadonlyMap<string, readonly Uint8Array[]>;

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const toUtf8 = new TextEncoder();

/**
 * Parses the rules of a file.
 *
 * @param bytes the whole file.
 * @param file its name, for errors and warnings.
 * @param knownRealms realms of krb5.conf, for expressions in the notation of the HOWTO.
 * @returns the rules; without any `rule` block there are none, and no client is admitted.
 * @throws {AuksError} ACL_PARSE, ACL_EMPTY; ACL_INVALID for a rule without principal or host, or with an unknown role.
 *
 * @example
 * ```ts
 * import { parseAcl, roleOf } from "./lib/auks/acl.ts";
 *
 * const text = "rule { principal = ^bob@REALM[.]A$ ; host = * ; role = user ; }";
 * const acl = parseAcl(new TextEncoder().encode(text), "auks.acl");
 * console.log(roleOf(acl, "bob@REALM.A", Uint8Array.of(127, 0, 0, 1))); // "user"
 * ```
 */
export function parseAcl(
  bytes: Uint8Array,
  file: string,
  knownRealms: readonly string[] = [],
): Acl {
  const blocks = parseBlocks(bytes, file, { syntax: "ACL_PARSE", empty: "ACL_EMPTY" });
  const warnings: string[] = [];
  const rules: AclRule[] = [];
  for (const block of blocks) {
    if (block.name !== "rule") {
      warnings.push(
        `${file} : line ${block.line}: block "${block.name}" is not a rule and is ignored`,
      );
      continue;
    }
    const rule = readRule(block, file, knownRealms, warnings);
    if (rule !== undefined) rules.push(rule);
  }
  if (rules.length === 0) warnings.push(`${file} : no rule, so no client is admitted`);
  return { rules, warnings };
}

function readRule(
  block: Block,
  file: string,
  knownRealms: readonly string[],
  warnings: string[],
): AclRule | undefined {
  const find = (key: string): Setting | undefined =>
    block.settings.find((setting) => setting.key.toLowerCase() === key);
  const invalid = (line: number, what: string) =>
    new AuksError("ACL_INVALID", `${file} : line ${line}: ${what}`);
  const warn = (line: number, what: string) => warnings.push(`${file} : line ${line}: ${what}`);

  const roleSetting = find("role");
  if (roleSetting === undefined) {
    warn(block.line, "the rule has no role and is left out");
    return undefined;
  }
  const roleText = utf8.decode(roleSetting.value);
  const role = parseRole(roleText);
  if (role === undefined) {
    throw invalid(roleSetting.line, `"${roleText}" is not a role: admin, user or guest`);
  }
  const principal = find("principal");
  if (principal === undefined) throw invalid(block.line, "the rule has no principal");
  const host = find("host");
  if (host === undefined) throw invalid(block.line, "the rule has no host");

  const { line } = principal;
  const written = principal.value;
  const expression = readSlashRealmExpression(written, knownRealms) ?? written;
  const text = utf8.decode(expression);
  if (expression !== written) {
    warn(line, `${utf8.decode(written)} is read as ${text}, which is the correct notation`);
  }
  if (text === "*" && role === "admin") warn(line, `${text} makes every principal an admin`);
  return {
    principal: text,
    host: utf8.decode(host.value),
    role,
    line: block.line,
    regex: compile(expression, (what) => warn(line, what)),
  };
}

/** Compares like the original: `guest` by its prefix. */
function parseRole(text: string): Role | undefined {
  if (text === "admin" || text === "user") return text;
  return text.startsWith("guest") ? "guest" : undefined;
}

function compile(
  expression: Uint8Array,
  warn: (what: string) => void,
): PosixRegex | "all" | undefined {
  const text = utf8.decode(expression);
  if (text === "*") return "all";
  try {
    const regex = compileRegex(expression);
    for (const warning of expressionWarnings(expression, text)) warn(warning);
    return regex;
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    warn(
      `the rule matches no principal, because ${
        utf8.decode(expression)
      } is not a valid expression: ${error.message}`,
    );
    return undefined;
  }
}

/**
 * Turns an expression that ends in `/REALM.A$`, as in AUKS's HOWTO of 2014 to 2021, into one that ends in `@REALM.A$`;
 * undefined if it does not, or if it may mean a ticket-granting service, whose name rightly ends in a realm.
 */
function readSlashRealmExpression(
  expression: Uint8Array,
  knownRealms: readonly string[],
): Uint8Array | undefined {
  const slash = expression.lastIndexOf(0x2f);
  if (slash <= 0 || expression.includes(0x40)) return undefined;
  const realm = utf8.decode(expression.subarray(slash + 1))
    .replace(/\$$/, "").replace(/\\\.|\[\.\]/g, ".");
  if (!knownRealms.includes(realm) || /krbtgt/.test(utf8.decode(expression))) return undefined;
  const meant = expression.slice();
  meant[slash] = 0x40;
  return meant;
}

/**
 * The host names in rules, for the caller to look up when the file is loaded.
 *
 * @param acl the rules.
 * @returns each once, without addresses.
 */
export function aclHosts(acl: Acl): string[] {
  const hosts = acl.rules.map(({ host }) => host)
    .filter((host) => host !== "*" && parseAddress(host) === undefined);
  return [...new Set(hosts)];
}

/**
 * The role of a client: that of the first matching rule. It never exceeds the role of an earlier rule of which it is
 * unknown whether it matches: an unknown host, or a principal chosen to take too long, must not escape a rule.
 *
 * @param acl the rules.
 * @param principal in the form of formatPrincipal().
 * @param address of the client: 4 or 16 bytes.
 * @param hosts addresses of the hosts in rules; a host without any is unknown.
 * @returns the role; undefined if no rule matches for sure.
 */
export function roleOf(
  acl: Acl,
  principal: string,
  address: Uint8Array,
  hosts: HostAddresses = new Map(),
): Role | undefined {
  const subject = toUtf8.encode(principal);
  let most: Role = "admin";
  for (const { regex, host, role } of acl.rules) {
    const isPrincipal = matchesPrincipal(regex, subject);
    const isHost = matchesHost(host, address, hosts);
    if (isPrincipal === false || isHost === false) continue;
    most = lesser(most, role);
    if (isPrincipal === true && isHost === true) return most;
  }
  return undefined;
}

/** From the fewest rights to the most. */
const ROLES: readonly Role[] = ["guest", "user", "admin"];

function lesser(a: Role, b: Role): Role {
  return ROLES.indexOf(a) < ROLES.indexOf(b) ? a : b;
}

/** Undefined if it would take too long. */
function matchesPrincipal(regex: AclRule["regex"], subject: Uint8Array): boolean | undefined {
  if (regex === "all" || regex === undefined) return regex === "all";
  try {
    return regex.test(subject);
  } catch (error) {
    if (error instanceof RegexError) return undefined;
    throw error;
  }
}

/** Undefined if the host's addresses are unknown. */
function matchesHost(
  host: string,
  address: Uint8Array,
  hosts: HostAddresses,
): boolean | undefined {
  if (host === "*") return true;
  const own = parseAddress(host);
  const addresses = own === undefined ? hosts.get(host) ?? [] : [own];
  return addresses.length === 0 ? undefined : addresses.some((each) => sameAddress(each, address));
}
