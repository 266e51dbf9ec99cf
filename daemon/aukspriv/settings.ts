// aukspriv's settings: the variables of /etc/sysconfig/aukspriv, one of which contains kinit options.
import type { InitialTicketOptions } from "../../lib/krb5/tickets.ts";
import { parseDuration } from "./duration.ts";

/** aukspriv's settings. */
export interface AuksprivSettings {
  /** The account whose credential cache to maintain. */
  readonly user: string;
  readonly keytab: string;
  /** Undefined to choose one from the keytab. */
  readonly principal: string | undefined;
  /** Requested from the KDC; krb5.conf decides the rest. */
  readonly request: InitialTicketOptions;
  /** The cache to maintain; undefined for the account's default one. */
  readonly ccache: string | undefined;
  /** Maximum seconds between two turns; undefined to go only by the granted lifetime. */
  readonly renewInterval: number | undefined;
  readonly errorInterval: number;
  /** Maximum seconds for one attempt. */
  readonly timeout: number;
  /** `facility.level` for syslog; undefined for standard output. */
  readonly syslogPriority: string | undefined;
}

/** An invalid variable; the message names it. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/**
 * Reads the settings from an environment.
 *
 * @throws {SettingError} for an invalid value.
 */
export function readSettings(
  environment: Readonly<Record<string, string | undefined>>,
): AuksprivSettings {
  const word = (name: string, otherwise: string) => environment[name] || otherwise;
  const seconds = (name: string, otherwise: number) => {
    const text = environment[name] || undefined;
    return text === undefined ? otherwise : duration(name, text);
  };
  const interval = environment["AUKS_PRIV_RENEW_INT"] || undefined;
  const priority = word("AUKS_PRIV_SYSLOG_PRIO", "local3.notice");
  const { ccache, ...asked } = readKinitOptions(environment["AUKS_KINIT_OPTS"] ?? "");
  return {
    user: word("AUKS_PRIV_USER", "root"),
    keytab: word("AUKS_PRIV_KEYTAB", "/etc/krb5.keytab"),
    principal: environment["AUKS_PRIV_PRINC"] || undefined,
    request: { ...asked, lifetime: asked.lifetime ?? seconds("AUKS_PRIV_LIFETIME", 36_000) },
    ccache,
    renewInterval: interval === undefined ? undefined : duration("AUKS_PRIV_RENEW_INT", interval),
    errorInterval: seconds("AUKS_PRIV_ERROR_INT", 60),
    timeout: seconds("AUKS_PRIV_KINIT_TIMEOUT", 10),
    syslogPriority: priority === "none" ? undefined : priority,
  };
}

function duration(name: string, text: string): number {
  const seconds = parseDuration(text);
  // An interval of 0 would be a busy loop, and a limit of 0 would never suffice.
  if (seconds === undefined || seconds === 0) {
    throw new SettingError(`${name}: "${text}" is not a positive number of seconds`);
  }
  return seconds;
}

type KinitOptions = InitialTicketOptions & { readonly ccache?: string };
type Change = (value: string) => Partial<KinitOptions>;

/** The kinit options supported here, and whether they take a value. */
const KINIT_OPTIONS: Readonly<Record<string, { takes: boolean; change: Change }>> = {
  l: { takes: true, change: (value) => ({ lifetime: duration("AUKS_KINIT_OPTS -l", value) }) },
  r: {
    takes: true,
    change: (value) => ({ renewLifetime: duration("AUKS_KINIT_OPTS -r", value) }),
  },
  c: { takes: true, change: (value) => ({ ccache: value }) },
  f: { takes: false, change: () => ({ forwardable: true }) },
  F: { takes: false, change: () => ({ forwardable: false }) },
  p: { takes: false, change: () => ({ proxiable: true }) },
  P: { takes: false, change: () => ({ proxiable: false }) },
  C: { takes: false, change: () => ({ canonicalize: true }) },
  // Neither has an effect: addresses are never requested, and there is nothing more to report.
  A: { takes: false, change: () => ({}) },
  V: { takes: false, change: () => ({}) },
};

function readKinitOptions(text: string): KinitOptions {
  let options: KinitOptions = {};
  const words = text.split(/\s+/).filter((word) => word !== "");
  while (words.length > 0) {
    let cluster = words.shift()!;
    if (!/^-[A-Za-z]/.test(cluster)) unsupported(cluster);
    for (cluster = cluster.slice(1); cluster !== "";) {
      const letter = cluster[0]!;
      const option = KINIT_OPTIONS[letter] ?? unsupported(`-${letter}`);
      cluster = cluster.slice(1);
      let value = "";
      if (option.takes) {
        value = cluster || words.shift() || unsupported(`-${letter} without a value`);
        cluster = "";
      }
      options = { ...options, ...option.change(value) };
    }
  }
  return options;
}

function unsupported(what: string): never {
  const known = Object.keys(KINIT_OPTIONS).map((letter) => `-${letter}`).join(", ");
  throw new SettingError(`AUKS_KINIT_OPTS: ${what} is not supported; these are: ${known}`);
}
