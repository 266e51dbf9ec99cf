// A realm's policy in names, for the status and the log.
import { describeRealm } from "../../../lib/credential/realm.ts";
import type { Logger } from "../../process/log.ts";
import type { Direction } from "../config.ts";
import type { Realms } from "../keys/realms.ts";
import { formatNetwork, isWithin } from "../policy/networks.ts";
import {
  type DirectionPolicy,
  isModern,
  isRefused,
  type RealmPolicy,
  TYPES,
} from "../policy/policy.ts";

/** What a realm permits in one direction. */
interface DirectionText {
  readonly ciphers: readonly string[];
  readonly macs: readonly string[];
  readonly zips: readonly string[];
  /** Null for everyone. */
  readonly clients: { readonly uids: readonly number[]; readonly gids: readonly number[] } | null;
}

/** What a realm permits. */
export interface PolicyText {
  readonly encode: DirectionText;
  /** Origins are networks; null for anywhere. */
  readonly decode: DirectionText & { readonly origins: readonly string[] | null };
}

/** A policy in names. */
export function describePolicy({ encode, decode }: RealmPolicy): PolicyText {
  return {
    encode: describeDirection(encode),
    decode: {
      ...describeDirection(decode),
      origins: decode.origins?.map(formatNetwork) ?? null,
    },
  };
}

function describeDirection(
  { refusedCiphers, refusedMacs, refusedZips, clients }: DirectionPolicy,
): DirectionText {
  return {
    ciphers: allowedNames("cipher", refusedCiphers),
    macs: allowedNames("mac", refusedMacs),
    zips: allowedNames("zip", refusedZips),
    clients,
  };
}

function allowedNames(kind: keyof typeof TYPES, refused: number): string[] {
  return TYPES[kind].filter(({ number }) => !isRefused(refused, number)).map(({ name }) => name);
}

/** The limits of a policy on a line: `encode: ciphers aes128, aes256; decode: from 10.0.0.0/8`; empty without limits. */
export function policyLine({ encode, decode }: PolicyText): string {
  const parts = (direction: Direction) => {
    const { ciphers, macs, zips, clients } = direction === "encode" ? encode : decode;
    const origins = direction === "decode" ? decode.origins : null;
    return [
      list("ciphers", ciphers, TYPES.cipher),
      list("MACs", macs, TYPES.mac),
      list("compressions", zips, TYPES.zip),
      clients === null ? [] : [`only ${
        [
          ...clients.uids.map((uid) => `user ${uid}`),
          ...clients.gids.map((gid) => `group ${gid}`),
        ]
          .join(", ")
      }`],
      origins === null ? [] : [`from ${origins.join(", ")}`],
    ].flat();
  };
  return (["encode", "decode"] as const).flatMap((direction) => {
    const limits = parts(direction);
    return limits.length === 0 ? [] : [`${direction}: ${limits.join("; ")}`];
  }).join(" | ");
}

function list(word: string, allowed: readonly string[], all: readonly unknown[]): string[] {
  return allowed.length === all.length ? [] : [`${word} ${allowed.join(", ")}`];
}

/**
 * Logs the limits in force; nothing if there are none.
 *
 * @param origin the address in credentials made here.
 */
export function announcePolicies(
  realms: Realms,
  { fips }: { readonly fips: boolean },
  origin: Uint8Array,
  log: Pick<Logger, "notice" | "warning">,
): void {
  for (const [name, { policy }] of realms) {
    const realm = describeRealm(name);
    const line = policyLine(describePolicy(policy));
    if (line !== "") log.notice(`Policy of ${realm}: ${line}`);
    const { origins } = policy.decode;
    if (origins !== null && !isWithin(origins, origin)) {
      log.warning(
        `Credentials of ${realm} that are made here are refused here: ` +
          `their origin ${origin.join(".")} is not in --accept-origin`,
      );
    }
    if (fips && !isModern(policy)) {
      log.warning(
        `Kernel is in FIPS mode, but the policy of ${realm} allows algorithms that FIPS 140 does not`,
      );
    }
  }
}
