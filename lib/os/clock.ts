// What the kernel knows about its own clock: whether something keeps it right.
import { FFIType, fixedMemory, openLibc, ptr } from "./libc.ts";

const TIMEX_LENGTH = 208;
/** Offset of `status` in struct timex with 64 bits. */
const STATUS = 40;
const STA_UNSYNC = 0x40;

/** Whether the clock is kept by NTP or PTP; undefined where the system does not tell. */
export function isClockSynchronized(): boolean | undefined {
  if (process.platform !== "linux") return undefined;
  const { adjtimex } = openLibc({
    adjtimex: { args: [FFIType.ptr], returns: FFIType.i32 },
  });
  const timex = new DataView(fixedMemory(TIMEX_LENGTH)); // modes 0: nothing is changed
  if (adjtimex(ptr(timex)) < 0) return undefined;
  return (timex.getInt32(STATUS, true) & STA_UNSYNC) === 0;
}
