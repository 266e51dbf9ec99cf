// munged's options for what each realm permits: to whom, with which algorithms, and from where. A value that begins with a
// realm's name applies to that realm, any other to all realms for which the option is not given. daemon/munged/policy
// combines them.
import type { AlgorithmRule, Direction, SecurityLevel } from "../../daemon/munged/config.ts";
import { formatNetwork, parseNetwork } from "../../daemon/munged/policy/networks.ts";
import { TYPES } from "../../daemon/munged/policy/policy.ts";
import { MungeError } from "../../lib/errors.ts";
import { addition, option } from "../command_line/vocabulary.ts";
import { formatWho, parseWho, splitRealm } from "./realm_values.ts";
import type { MungedOption, Settings } from "./settings.ts";
import { invalid, oneOf, shown } from "./vocabulary.ts";

const LEVELS: readonly SecurityLevel[] = ["compatible", "modern"];
const DIRECTIONS: readonly Direction[] = ["encode", "decode"];

/** The group of these options. */
export const POLICY_OPTIONS: readonly MungedOption[] = [
  addition(shown(
    option(
      "--accept-origin=[NAME=]NET,...",
      "Accept credentials from these networks only (repeatable)",
      acceptOrigin,
    ),
    ({ origins }) =>
      origins.map(({ realm, networks }) => withRealm(realm, networks.map(formatNetwork).join(","))),
  )),
  algorithms("allow-ciphers", "ciphers", "cipher"),
  clients("decode"),
  clients("encode"),
  algorithms("allow-macs", "MACs", "mac"),
  algorithms("allow-zips", "compressions", "zip"),
  addition(shown(
    option(
      "--security=[NAME=]LEVEL",
      `Allow ${LEVELS.join(" or ")} algorithms [compatible; modern with FIPS]`,
      setSecurity,
    ),
    ({ security, fips }) => {
      const isSet = security.some(({ realm }) => realm === null);
      const implied = isSet ? [] : [fips ? "modern" : "compatible"];
      return [...implied, ...security.map(({ realm, level }) => withRealm(realm, level))];
    },
  )),
];

function clients(direction: Direction): MungedOption {
  const name = `allow-${direction}`;
  return addition(shown(
    option(
      `--${name}=[NAME=]WHO`,
      `Let only user:U,group:G,... ${direction} (repeatable)`,
      (settings, value) => {
        const [realm, words] = realmAndRest(name, value);
        const who = words === "everyone" ? null : parseWho(name, value, words);
        settings.clients = [...settings.clients, { realm, direction, who }];
      },
    ),
    ({ clients }) =>
      clients.filter((rule) => rule.direction === direction).map(({ realm, who }) =>
        withRealm(realm, who === null ? "everyone" : formatWho(who))
      ),
  ));
}

function algorithms(name: string, words: string, kind: AlgorithmRule["kind"]): MungedOption {
  return addition(shown(
    option(
      `--${name}=[NAME=][DIR:]LIST`,
      `Allow only these ${words} (DIR: encode or decode; repeatable)`,
      (settings, value) => {
        const [realm, rest] = realmAndRest(name, value);
        const [, direction, list = ""] = /^(?:(encode|decode):)?(.*)$/.exec(rest) ?? [];
        const directions = DIRECTIONS.filter((each) => each === (direction ?? each));
        const numbers = list.split(",").map((word) => typeNumber(kind, name, value, word));
        settings.algorithms = [...settings.algorithms, { realm, kind, directions, numbers }];
      },
    ),
    ({ algorithms }) =>
      algorithms.filter((rule) => rule.kind === kind).map(({ realm, directions, numbers }) => {
        const names = TYPES[kind].filter(({ number }) => numbers.includes(number))
          .map(({ name }) => name);
        const direction = directions.length === 1 ? `${directions[0]}:` : "";
        return withRealm(realm, `${direction}${names.join(",")}`);
      }),
  ));
}

function typeNumber(
  kind: AlgorithmRule["kind"],
  option: string,
  value: string,
  word: string,
): number {
  const type = TYPES[kind].find(({ name, number }) =>
    name === word.toLowerCase() || `${number}` === word
  );
  if (type !== undefined) return type.number;
  const known = TYPES[kind].map(({ name }) => name).join(", ");
  throw wrong(option, value, `"${word}" is not one of ${known}`);
}

function acceptOrigin(settings: Settings, value: string): void {
  const [realm, list] = realmAndRest("accept-origin", value);
  try {
    const networks = list.split(",").map(parseNetwork);
    settings.origins = [...settings.origins, { realm, networks }];
  } catch (error) {
    throw wrong("accept-origin", value, (error as Error).message);
  }
}

function setSecurity(settings: Settings, value: string): void {
  const [realm, name] = realmAndRest("security", value);
  const level = oneOf("security", value, LEVELS, name);
  const others = settings.security.filter((rule) => rule.realm !== realm);
  settings.security = [...others, { realm, level }];
}

/** The error for an invalid value, with the reason. */
function wrong(option: string, value: string, reason: string): MungeError {
  return new MungeError("EMUNGE_SNAFU", `${invalid(option, value).message}: ${reason}`);
}

/** The realm in front of a value, null for all, and the rest. */
function realmAndRest(option: string, value: string): [realm: string | null, rest: string] {
  return value.includes("=") ? splitRealm(option, value) : [null, value];
}

function withRealm(realm: string | null, rest: string): string {
  return realm === null ? rest : `${realm}=${rest}`;
}
