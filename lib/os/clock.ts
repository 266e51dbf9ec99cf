// Whether the kernel considers its clock synchronized.
import { FFIType, openLibc } from "./libc.ts";

const TIMEX_LENGTH = 208;
/** Offset of `status` in the 64-bit struct timex. */
const STATUS = 40;
const STA_UNSYNC = 0x40;

/** Whether NTP or PTP keeps the clock synchronized; undefined if the system does not report it. */
export function isClockSynchronized(): boolean | undefined {
  if (process.platform !== "linux") return undefined;
  const { adjtimex } = openLibc({
    adjtimex: { args: [FFIType.ptr], returns: FFIType.i32 },
  });
  const timex = new Int32Array(TIMEX_LENGTH / 4); // modes 0: changes nothing
  if (adjtimex(timex) < 0) return undefined;
  return (timex[STATUS / 4]! & STA_UNSYNC) === 0;
}
