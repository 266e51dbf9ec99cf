// Times formatted by the C library, so that TZ has the same effect as in every other program.
import { canCallLibc, cString, FFIType, openLibc, textBeforeNul } from "./libc.ts";
import { localTime } from "./libc_fallbacks.ts";

const { i64, ptr: pointer, u64 } = FFIType;
const c = openLibc({
  tzset: { args: [], returns: FFIType.void },
  localtime_r: { args: [pointer, pointer], returns: pointer },
  strftime: { args: [pointer, u64, pointer, pointer], returns: i64 },
});
if (canCallLibc()) c.tzset();

/** struct tm has 56 bytes on every supported system. */
const tm = new Uint8Array(64);
const text = new Uint8Array(128);

/**
 * Formats a time in the local time zone.
 *
 * @param seconds since the epoch.
 * @param format for strftime; the result must be shorter than 128 bytes.
 */
export function formatLocalTime(seconds: number, format: string): string {
  if (!canCallLibc()) return localTime(seconds, format) ?? "???";
  const time = new BigInt64Array([BigInt(seconds)]);
  if (c.localtime_r(time, tm) === null) return "???";
  const length = c.strftime(text, text.length, cString(format), tm);
  return length === 0n ? "" : textBeforeNul(text);
}

/** A time in the local time zone as `2026-11-26T09:40:08+0000`. @param seconds since the epoch. */
export function isoTime(seconds: number): string {
  return formatLocalTime(seconds, "%FT%T%z");
}
