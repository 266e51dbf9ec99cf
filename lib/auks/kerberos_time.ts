// KerberosTime (RFC 4120 section 5.2.3): seconds in UTC as YYYYMMDDHHMMSSZ.

const SHAPE = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/**
 * Parses a time.
 *
 * @param text in the form of {@linkcode formatKerberosTime}.
 * @returns 32-bit seconds since the epoch; undefined for an invalid time.
 */
export function parseKerberosTime(text: string): number | undefined {
  const [, year, month, day, hour, minute, second] = SHAPE.exec(text) ?? [];
  if (second === undefined) return undefined;
  const seconds = Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, +second) / 1000;
  // Date accepts the 32nd of a month, and maps years below 100 to another century.
  const exists = seconds >= 0 && seconds <= 0xffff_ffff && formatKerberosTime(seconds) === text;
  return exists ? seconds : undefined;
}

/**
 * Formats a time.
 *
 * @param seconds since the epoch.
 * @returns 15 characters.
 */
export function formatKerberosTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().replace(/\.000Z$|[-T:]/g, "")}Z`;
}
