// KerberosTime (RFC 4120 section 5.2.3): seconds in UTC as YYYYMMDDHHMMSSZ.

const SHAPE = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/**
 * Reads a time.
 *
 * @param text as {@linkcode formatKerberosTime} writes it.
 * @returns seconds since the epoch, of 32 bits; undefined if there is no such time.
 */
export function parseKerberosTime(text: string): number | undefined {
  const [, year, month, day, hour, minute, second] = SHAPE.exec(text) ?? [];
  if (second === undefined) return undefined;
  const seconds = Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, +second) / 1000;
  // Date takes the 32nd of a month, and years below 100 for those of another century.
  const exists = seconds >= 0 && seconds <= 0xffff_ffff && formatKerberosTime(seconds) === text;
  return exists ? seconds : undefined;
}

/**
 * Writes a time.
 *
 * @param seconds since the epoch.
 * @returns 15 characters.
 */
export function formatKerberosTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().replace(/\.000Z$|[-T:]/g, "")}Z`;
}
