// The meaning of a daemon's KRB-ERROR (RFC 4120, section 5.9.1) for the user. The original's client does not show it.
import { DerError, DerReader, TAG } from "../auks/der.ts";

/** A refusal in the user's terms. */
export interface KrbErrorExplanation {
  readonly reason: string;
  /** Whether another attempt may succeed. */
  readonly isTransient: boolean;
}

interface KrbError {
  readonly code: number;
  /** The daemon's clock, milliseconds since the epoch. */
  readonly time: number;
  readonly text: string;
}

type Explain = (service: string, error: KrbError, now: number) => string;

/** How far the daemon's clock is from this host's. */
function clockDifference({ time }: KrbError, now: number): string {
  const seconds = Math.round((time - now) / 1000);
  return `${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead"}`;
}

/** By the error's number (RFC 4120, section 7.5.9). */
const EXPLANATIONS: Readonly<Record<number, { explain: Explain; isTransient?: true }>> = {
  31: {
    explain: (service) =>
      `the daemon's key for ${service} is not the KDC's: its keytab is outdated`,
  },
  32: {
    explain: (service, error, now) =>
      `the ticket for ${service} has expired by the daemon's clock, which is ${
        clockDifference(error, now)
      }`,
  },
  33: {
    explain: (service, error, now) =>
      `the ticket for ${service} is not yet valid by the daemon's clock, which is ${
        clockDifference(error, now)
      }`,
  },
  34: { explain: () => "the daemon considers the request a replay", isTransient: true },
  35: { explain: (service) => `${service} is not the daemon's principal` },
  36: { explain: () => "ticket and authenticator name different clients" },
  37: {
    explain: (_service, error, now) =>
      `the clocks differ: the daemon's is ${clockDifference(error, now)}`,
  },
  44: {
    explain: (service) =>
      `the daemon's keytab lacks the version of the key for ${service} that the KDC uses`,
  },
  45: {
    explain: (service) =>
      `the daemon can't read a key for ${service}: its keytab or the key in it is missing`,
  },
};

/**
 * Explains a daemon's refusal to authenticate a client.
 *
 * @param message received instead of an empty message.
 * @param service the principal that the ticket was for.
 * @param now this host's clock, milliseconds since the epoch.
 */
export function explainKrbError(
  message: Uint8Array,
  service: string,
  now: number,
): KrbErrorExplanation {
  const error = readKrbError(message);
  if (error === undefined) {
    return { reason: "the daemon refused authentication", isTransient: false };
  }
  const known = EXPLANATIONS[error.code];
  return known === undefined
    ? {
      reason: `the daemon refused authentication: ${error.text || `Kerberos error ${error.code}`}`,
      isTransient: false,
    }
    : { reason: known.explain(service, error, now), isTransient: known.isTransient === true };
}

function readKrbError(message: Uint8Array): KrbError | undefined {
  try {
    const fields = new DerReader(message).open(TAG.application(30)).open(TAG.sequence);
    const take = (number: number) => fields.openIf(TAG.context(number));
    for (const skipped of [0, 1, 2, 3]) take(skipped);
    const time = readTime(take(4)?.take(TAG.generalizedTime));
    take(5);
    const code = take(6)?.integer();
    for (const skipped of [7, 8, 9, 10]) take(skipped);
    const text = new TextDecoder().decode(take(11)?.take(TAG.generalString));
    return code === undefined ? undefined : { code, time, text: text.replace(/\0.*$/s, "") };
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** Milliseconds since the epoch for `20261126103731Z`. */
function readTime(bytes: Uint8Array | undefined): number {
  const digits = new TextDecoder().decode(bytes);
  return Date.parse(
    digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
}
