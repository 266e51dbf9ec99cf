// What each realm permits: which algorithms, to whom, and from where. Resolved from the settings once, into plain data
// that can be posted to another thread. serve/permission.ts checks requests against it.
import { CIPHERS } from "../../../lib/credential/cipher.ts";
import { MACS } from "../../../lib/credential/mac.ts";
import { describeRealm } from "../../../lib/credential/realm.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";
import { MungeError } from "../../../lib/errors.ts";
import {
  type AlgorithmRule,
  type ClientRule,
  type DaemonConfig,
  type Direction,
  type Network,
  type SecurityLevel,
} from "../config.ts";

/** Users and groups that may use a key; null for everyone. */
export type Allowed = { readonly uids: readonly number[]; readonly gids: readonly number[] } | null;

/** What a realm permits in one direction. */
export interface DirectionPolicy {
  /** Bit N is set if the type of number N is refused; so 0 refuses nothing. */
  readonly refusedCiphers: number;
  readonly refusedMacs: number;
  readonly refusedZips: number;
  readonly clients: Allowed;
}

/** What a realm permits. */
export interface RealmPolicy {
  readonly encode: DirectionPolicy & {
    /** What a client that requests the default gets. */
    readonly defaultCipher: number;
    readonly defaultMac: number;
  };
  readonly decode: DirectionPolicy & {
    /** Null for anywhere. */
    readonly origins: readonly Network[] | null;
  };
}

/** The settings that make a policy. */
export type PolicySettings = Pick<
  DaemonConfig,
  "realmAllow" | "security" | "algorithms" | "clients" | "origins" | "fips"
>;

type Kind = AlgorithmRule["kind"];

/** The types that a credential may carry, strongest first; the first allowed ones serve as defaults. */
export const TYPES = {
  cipher: ["aes128", "aes256", "blowfish", "cast5", "none"].map((name) => row(CIPHERS, name)),
  mac: ["sha256", "sha512", "sha1", "ripemd160", "md5"].map((name) => row(MACS, name)),
  zip: ["none", "zlib", "bzlib"].map((name) => row(ZIPS, name)),
} as const;

function row<T extends { readonly name: string }>(table: readonly T[], name: string): T {
  return table.find((type) => type.name === name)!;
}

/** The names of the types that `--security=modern` allows. Levels apply only to ciphers and MACs. */
const MODERN: Partial<Record<Kind, readonly string[]>> = {
  cipher: ["aes128", "aes256"],
  mac: ["sha256", "sha512"],
};

/**
 * What a realm permits. Its own rules take precedence over those for all realms, and a list over a level.
 *
 * @throws {MungeError} if the rules contradict each other.
 */
export function resolvePolicy(settings: PolicySettings, realm: string): RealmPolicy {
  const encode = directionPolicy(settings, realm, "encode");
  const decode = directionPolicy(settings, realm, "decode");
  const rules = rulesFor(settings.origins, realm);
  const defaults = defaultTypes(encode);
  for (const [direction, policy] of [["encode", encode], ["decode", decode]] as const) {
    const complaint = contradiction(policy);
    if (complaint !== undefined) throw contradictory(realm, `${direction}: ${complaint}`);
  }
  const { cipher, mac } = defaults!;
  if (
    isRefused(decode.refusedCiphers, cipher.number) || isRefused(decode.refusedMacs, mac.number)
  ) {
    throw contradictory(
      realm,
      `credentials are made with ${cipher.name} and ${mac.name} by default, which decode does not allow`,
    );
  }
  return {
    encode: { ...encode, defaultCipher: cipher.number, defaultMac: mac.number },
    decode: {
      ...decode,
      origins: rules.length === 0 ? null : rules.flatMap(({ networks }) => networks),
    },
  };
}

/** Whether `--security=modern` allows a type. */
export function isModernName(kind: Kind, name: string): boolean {
  return MODERN[kind]?.includes(name) ?? true;
}

/** Whether the modern algorithms are all that a realm permits. */
export function isModern({ encode, decode }: RealmPolicy): boolean {
  const refuseWeak = (kind: Kind, refused: number) =>
    TYPES[kind].every(({ name, number }) => isModernName(kind, name) || isRefused(refused, number));
  return [encode, decode].every(({ refusedCiphers, refusedMacs }) =>
    refuseWeak("cipher", refusedCiphers) && refuseWeak("mac", refusedMacs)
  );
}

/** The realms for which there is a rule. */
export function limitedRealms(settings: PolicySettings): Set<string> {
  const { realmAllow, security, algorithms, clients, origins } = settings;
  const rules = [...realmAllow, ...security, ...algorithms, ...clients, ...origins];
  return new Set(rules.flatMap(({ realm }) => realm ?? []));
}

/** Whether a type's bit is set. */
export function isRefused(refused: number, number: number): boolean {
  return (refused >>> number & 1) === 1;
}

/** Whether a client is among those that may use a key. */
export function isAllowed(
  allowed: Allowed,
  uid: number,
  gid: number,
  isMember: (uid: number, gid: number) => boolean,
): boolean {
  return allowed === null || allowed.uids.includes(uid) ||
    allowed.gids.some((allowedGid) => allowedGid === gid || isMember(uid, allowedGid));
}

function contradictory(realm: string, text: string): MungeError {
  return new MungeError("EMUNGE_SNAFU", `Contradictory policy of ${describeRealm(realm)}: ${text}`);
}

function directionPolicy(
  settings: PolicySettings,
  realm: string,
  direction: Direction,
): DirectionPolicy {
  return {
    refusedCiphers: refusedTypes(settings, realm, direction, "cipher"),
    refusedMacs: refusedTypes(settings, realm, direction, "mac"),
    refusedZips: refusedTypes(settings, realm, direction, "zip"),
    clients: allowedClients(settings, realm, direction),
  };
}

/** The realm's own rules or, if there are none, those for all realms. */
function rulesFor<T extends { readonly realm: string | null }>(
  rules: readonly T[],
  realm: string,
): readonly T[] {
  const own = rules.filter((rule) => rule.realm === realm);
  return own.length > 0 ? own : rules.filter((rule) => rule.realm === null);
}

function refusedTypes(
  { algorithms, security, fips }: PolicySettings,
  realm: string,
  direction: Direction,
  kind: Kind,
): number {
  const lists = algorithms.filter((rule) =>
    rule.kind === kind && rule.directions.includes(direction)
  );
  const listed = (name: string | null) => lists.findLast((rule) => rule.realm === name)?.numbers;
  const level = (name: string | null) =>
    numbersOf(security.find((rule) => rule.realm === name)?.level, kind);
  const allowed = listed(realm) ?? level(realm) ?? listed(null) ?? level(null) ??
    numbersOf(fips ? "modern" : "compatible", kind);
  let refused = 0;
  for (const { number } of TYPES[kind]) {
    if (allowed?.includes(number) === false) refused |= 1 << number;
  }
  return refused;
}

/** What a level allows; undefined if it does not apply to types of this kind. */
function numbersOf(level: SecurityLevel | undefined, kind: Kind): number[] | undefined {
  const modern = MODERN[kind];
  if (level === undefined || modern === undefined) return undefined;
  return TYPES[kind].filter(({ name }) => level === "compatible" || modern.includes(name))
    .map(({ number }) => number);
}

function allowedClients(
  { clients, realmAllow }: PolicySettings,
  realm: string,
  direction: Direction,
): Allowed {
  const forBoth = realmAllow.map(({ realm, ...who }): ClientRule => ({ realm, direction, who }));
  const directed = clients.filter((rule) => rule.direction === direction);
  const rules = rulesFor([...forBoth, ...directed], realm).map(({ who }) => who);
  if (rules.length === 0 || rules.includes(null)) return null;
  return {
    uids: rules.flatMap((who) => who!.uids),
    gids: rules.flatMap((who) => who!.gids),
  };
}

/** Why requests for the defaults could never succeed under this policy; undefined if they can. */
function contradiction(policy: DirectionPolicy): string | undefined {
  if (isRefused(policy.refusedZips, 0)) {
    return 'compression "none" must be allowed, because credentials that do not shrink carry it';
  }
  if (defaultTypes(policy) === undefined) {
    return "no allowed MAC is long enough for the key of any allowed cipher";
  }
  return undefined;
}

/** The types that "default" stands for: the reference's if they are allowed, otherwise the strongest that fit together. */
function defaultTypes({ refusedCiphers, refusedMacs }: DirectionPolicy) {
  const macs = TYPES.mac.filter(({ number }) => !isRefused(refusedMacs, number));
  for (const cipher of TYPES.cipher) {
    if (isRefused(refusedCiphers, cipher.number)) continue;
    const mac = macs.find(({ length }) => length >= cipher.keyLength);
    if (mac !== undefined) return { cipher, mac };
  }
  return undefined;
}
