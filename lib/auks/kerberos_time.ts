// KerberosTime (RFC 4120 section 5.2.3): seconds in UTC as YYYYMMDDHHMMSSZ.

const LENGTH = "YYYYMMDDHHMMSSZ".length;

/**
 * Parses a time.
 *
 * @param text in the form of {@linkcode formatKerberosTime}.
 * @returns 32-bit seconds since the epoch; undefined for an invalid time.
 */
export function parseKerberosTime(text: string): number | undefined {
  if (text.length !== LENGTH || text[LENGTH - 1] !== "Z") return undefined;
  const year = 100 * digitsAt(text, 0) + digitsAt(text, 2);
  const month = digitsAt(text, 4);
  const day = digitsAt(text, 6);
  const hour = digitsAt(text, 8);
  const minute = digitsAt(text, 10);
  const second = digitsAt(text, 12);
  // Date maps years below 100 to another century. Comparisons with NaN are false.
  if (!(year >= 1970 && hour < 24 && minute < 60 && second < 60)) return undefined;
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date accepts the 32nd of a month, and the 13th month.
  const date = new Date(time);
  if (date.getUTCDate() !== day || date.getUTCMonth() !== month - 1) return undefined;
  return time / 1000 <= 0xffff_ffff ? time / 1000 : undefined;
}

/** The number that two decimal digits make; NaN for other characters. */
function digitsAt(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 0x30;
  const ones = text.charCodeAt(at + 1) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? 10 * tens + ones : NaN;
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
