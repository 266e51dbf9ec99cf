// Kerberos principals: the components of a name and its text form (RFC 1964 section 2.1.1, as in libkrb5).
import { AuksError } from "./errors.ts";

/** Maximum length of a principal's name in AUKS, in bytes. */
export const MAX_PRINCIPAL_LENGTH = 127;

/** A name in a realm. */
export interface Principal {
  readonly realm: string;
  /** At least one. */
  readonly components: readonly string[];
  /** RFC 4120 section 6.2: 1 for a principal, 2 for a service. */
  readonly nameType: number;
}

/** Escape letters for special characters. */
const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "n",
  "\t": "t",
  "\b": "b",
  "\0": "0",
};
const UNESCAPES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(ESCAPES).map(([character, letter]) => [letter, character]),
);

/**
 * Formats a principal as `name/instance@REALM`.
 *
 * @param principal the principal.
 * @returns its name, with a backslash before `/`, `@` and `\` within a component.
 *
 * @example
 * ```ts
 * import { formatPrincipal } from "./lib/auks/principal.ts";
 *
 * const name = { realm: "REALM.A", components: ["host", "mngt.realm.a"], nameType: 1 };
 * console.log(formatPrincipal(name)); // "host/mngt.realm.a@REALM.A"
 * ```
 */
export function formatPrincipal(principal: Principal): string {
  return `${principal.components.map(escape).join("/")}@${escape(principal.realm)}`;
}

function escape(part: string): string {
  return part.replace(/[/@\\\n\t\b\0]/g, (character) => `\\${ESCAPES[character] ?? character}`);
}

/**
 * Parses a principal's name.
 *
 * @param name in the form of {@linkcode formatPrincipal}; the realm is optional.
 * @param defaultRealm realm of a name without one.
 * @returns the principal.
 * @throws {AuksError} CRED_PRINCIPAL if it has two realms, an unescaped slash in its realm, a backslash at its end, or
 * no realm, and there is no default.
 *
 * @example
 * ```ts
 * import { parsePrincipal } from "./lib/auks/principal.ts";
 *
 * console.log(parsePrincipal("bob@REALM.A").components); // [ "bob" ]
 * ```
 */
export function parsePrincipal(name: string, defaultRealm?: string): Principal {
  const components = [""];
  let realm: string | undefined;
  const add = (text: string) => {
    if (realm === undefined) components[components.length - 1] += text;
    else realm += text;
  };
  for (let i = 0; i < name.length; i++) {
    const character = name[i]!;
    if (character === "\\") {
      const next = name[++i];
      if (next === undefined) throw malformed(name, "it ends in a backslash");
      add(UNESCAPES[next] ?? next);
    } else if (character === "@") {
      if (realm !== undefined) throw malformed(name, "it has two realms");
      realm = "";
    } else if (character === "/") {
      if (realm !== undefined) throw malformed(name, "its realm contains a /");
      components.push("");
    } else add(character);
  }
  realm ??= defaultRealm;
  if (realm === undefined || realm === "") throw malformed(name, "it has no realm");
  return { realm, components, nameType: 1 };
}

function malformed(name: string, why: string): AuksError {
  return new AuksError("CRED_PRINCIPAL", `${JSON.stringify(name)} is not a principal: ${why}`);
}

/**
 * Whether two principals are the same, ignoring name types.
 *
 * @param a a principal.
 * @param b another.
 * @returns true if realm and all components are equal.
 */
export function samePrincipal(a: Principal, b: Principal): boolean {
  return a.realm === b.realm && a.components.length === b.components.length &&
    a.components.every((part, i) => part === b.components[i]);
}

/**
 * The realm of a ticket-granting service, if a principal is one.
 *
 * @param principal the principal of a service.
 * @returns the realm that its tickets are for: the principal's own for `krbtgt/R@R`.
 */
export function tgsRealm(principal: Principal): string | undefined {
  const [name, realm] = principal.components;
  return principal.components.length === 2 && name === "krbtgt" ? realm : undefined;
}

/** A name in the HOWTO's notation, and its meaning. */
export interface SlashRealm {
  /** The name with `@` before its realm. */
  readonly name: string;
  /** The warning for the administrator. */
  readonly warning: string;
}

/**
 * Interprets `host/mngt.realm.a/REALM.A`, as in AUKS's HOWTO of 2014 to 2021, as `host/mngt.realm.a@REALM.A`.
 *
 * @param name a principal's name.
 * @param knownRealms realms of krb5.conf, including the default one.
 * @returns its meaning; undefined if it has a realm, if its last component is not a known realm, or if it is the name of a
 * ticket-granting service, which rightly ends in a realm.
 *
 * @example
 * ```ts
 * import { readSlashRealm } from "./lib/auks/principal.ts";
 *
 * const read = readSlashRealm("host/mngt.realm.a/REALM.A", ["REALM.A"]);
 * console.log(read?.name); // "host/mngt.realm.a@REALM.A"
 * console.log(readSlashRealm("krbtgt/REALM.A", ["REALM.A"])); // undefined
 * ```
 */
export function readSlashRealm(
  name: string,
  knownRealms: readonly string[],
): SlashRealm | undefined {
  const slash = name.lastIndexOf("/");
  if (slash <= 0 || name.includes("@") || name.includes("\\")) return undefined;
  if (name.startsWith("krbtgt/") || !knownRealms.includes(name.slice(slash + 1))) return undefined;
  const meant = `${name.slice(0, slash)}@${name.slice(slash + 1)}`;
  return {
    name: meant,
    warning: `"${name}" is read as "${meant}", which is the correct notation`,
  };
}
