// auks.acl: which principal may do what, and from where. The rules of a file, the role of a client by them, and what
// to warn an administrator of.
import { AuksError } from "./errors.ts";
import { expressionWarnings } from "./expression_warnings.ts";
import { type Block, parseBlocks, type Setting } from "./grammar.ts";
import { parseAddress, sameAddress } from "./host_address.ts";
import { compileRegex, type PosixRegex, RegexError } from "./posix_regex.ts";

/** What a client is; one whom no rule names is nothing, and gets no answer. */
export type Role = "admin" | "user" | "guest";

/** Whose credentials a request may touch. */
export type Reach = "any" | "own" | "none";

/** What a role may do. */
export interface Rights {
  readonly add: Reach;
  readonly get: Reach;
  readonly remove: Reach;
  readonly dump: boolean;
}

/** What each role may do. PING and LIST are everybody's who has a role. */
export const RIGHTS: { readonly [role in Role]: Rights } = {
  admin: { add: "any", get: "any", remove: "any", dump: true },
  user: { add: "own", get: "own", remove: "own", dump: false },
  guest: { add: "own", get: "none", remove: "none", dump: false },
};

/** A rule of the file. */
export interface AclRule {
  /** The expression as it is used. */
  readonly principal: string;
  /** `*`, an address or a name. */
  readonly host: string;
  readonly role: Role;
  /** Line in the file, from 1. */
  readonly line: number;
  /** `"all"` for `*`; undefined for an expression that does not compile, which matches nobody. */
  readonly regex: PosixRegex | "all" | undefined;
}

/** The rules of a file. */
export interface Acl {
  /** The first one that matches decides. */
  readonly rules: readonly AclRule[];
  /** What to tell the administrator, each with file and line. */
  readonly warnings: readonly string[];
}

/** Addresses of the hosts that rules name, as {@linkcode aclHosts} lists them. */
export type HostAddresses = ReadonlyMap<string, readonly Uint8Array[]>;

const utf8 = new TextDecoder();
const toUtf8 = new TextEncoder();

/**
 * Reads the rules of a file.
 *
 * @param bytes the whole file.
 * @param file its name, for errors and warnings.
 * @param knownRealms realms of krb5.conf, for expressions in the notation of the HOWTO.
 * @returns the rules; none if no block is a `rule`, and then nobody gets in.
 * @throws {AuksError} ACL_PARSE, ACL_EMPTY; ACL_INVALID for a rule without principal or host, or with a role that
 * is none.
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
        `${file} : line ${block.line}: block "${block.name}" is no rule and is ignored`,
      );
      continue;
    }
    const rule = readRule(block, file, knownRealms, warnings);
    if (rule !== undefined) rules.push(rule);
  }
  if (rules.length === 0) warnings.push(`${file} : no rule, so nobody gets in`);
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
    throw invalid(roleSetting.line, `"${roleText}" is no role: admin, user or guest`);
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
    warn(line, `${utf8.decode(written)} is read as ${text}, which is the right way to write it`);
  }
  if (text === "*" && role === "admin") warn(line, `${text} makes everybody an admin`);
  return {
    principal: text,
    host: utf8.decode(host.value),
    role,
    line: block.line,
    regex: compile(expression, (what) => warn(line, what)),
  };
}

/** As the original compares them: `guest` by its beginning. */
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
      `the rule matches nobody, as ${utf8.decode(expression)} is no expression: ${error.message}`,
    );
    return undefined;
  }
}

/**
 * Reads an expression that ends in `/REALM.A$`, as AUKS's HOWTO of 2014 to 2021 has it, as one that ends in
 * `@REALM.A$`; undefined if it does not, or if it may be meant for a ticket-granting service's own name, which ends
 * in a realm by right.
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
 * The hosts that rules name, for the caller to look up when the file is loaded.
 *
 * @param acl the rules.
 * @returns each of them once; addresses are not among them.
 */
export function aclHosts(acl: Acl): string[] {
  const hosts = acl.rules.map(({ host }) => host)
    .filter((host) => host !== "*" && parseAddress(host) === undefined);
  return [...new Set(hosts)];
}

/**
 * The role of a client.
 *
 * @param acl the rules.
 * @param principal as formatPrincipal() writes it.
 * @param address where the client connects from: 4 or 16 bytes.
 * @param hosts addresses of the hosts that rules name; one that is not in it matches nobody.
 * @returns the role by the first rule that matches; undefined if none does, and if it can't be found out whether one
 * does before that: a principal that makes it so may be chosen to escape a rule.
 */
export function roleOf(
  acl: Acl,
  principal: string,
  address: Uint8Array,
  hosts: HostAddresses = new Map(),
): Role | undefined {
  const subject = toUtf8.encode(principal);
  try {
    return acl.rules.find(({ regex, host }) =>
      (regex === "all" || regex?.test(subject)) && matchesHost(host, address, hosts)
    )?.role;
  } catch (error) {
    if (error instanceof RegexError) return undefined;
    throw error;
  }
}

function matchesHost(host: string, address: Uint8Array, hosts: HostAddresses): boolean {
  if (host === "*") return true;
  const own = parseAddress(host);
  const addresses = own === undefined ? hosts.get(host) ?? [] : [own];
  return addresses.some((each) => sameAddress(each, address));
}
