// What aukspriv is told: the variables of /etc/sysconfig/aukspriv, and the options of kinit in one of them.
import type { InitialTicketOptions } from "../../lib/krb5/tickets.ts";
import { parseDuration } from "./duration.ts";

/** How aukspriv works. */
export interface AuksprivSettings {
  /** The account whose credential cache is kept. */
  readonly user: string;
  readonly keytab: string;
  /** Undefined to have it chosen from the keytab. */
  readonly principal: string | undefined;
  /** What is asked of the KDC; krb5.conf decides about the rest. */
  readonly request: InitialTicketOptions;
  /** The cache to keep; undefined for the account's default one. */
  readonly ccache: string | undefined;
  /** The longest time between two turns, seconds; undefined to go by what the KDC grants alone. */
  readonly renewInterval: number | undefined;
  readonly errorInterval: number;
  /** How long one attempt may take, seconds. */
  readonly timeout: number;
  /** `facility.level` for syslog; undefined for standard output. */
  readonly syslogPriority: string | undefined;
}

/** A variable that aukspriv can't work with; the message names it. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/**
 * Reads the settings from an environment.
 *
 * @throws {SettingError} for a value that can't be understood.
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
  // An interval of nothing would be a loop that never rests, and a limit of nothing never enough.
  if (seconds === undefined || seconds === 0) {
    throw new SettingError(`${name}: "${text}" is no number of seconds above 0`);
  }
  return seconds;
}

type KinitOptions = InitialTicketOptions & { readonly ccache?: string };
type Change = (value: string) => Partial<KinitOptions>;

/** The options of kinit that mean something here, with whether they take a value. */
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
  // Neither changes anything: addresses are never asked for, and there is nothing to tell more of.
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
