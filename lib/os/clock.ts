// Whether the kernel considers its clock synchronised.
import { FFIType, fixedMemory, openLibc, ptr } from "./libc.ts";

const TIMEX_LENGTH = 208;
/** Offset of `status` in the 64-bit struct timex. */
const STATUS = 40;
const STA_UNSYNC = 0x40;

/** Whether NTP or PTP keeps the clock; undefined if the system does not report it. */
export function isClockSynchronized(): boolean | undefined {
  if (process.platform !== "linux") return undefined;
  const { adjtimex } = openLibc({
    adjtimex: { args: [FFIType.ptr], returns: FFIType.i32 },
  });
  const timex = new DataView(fixedMemory(TIMEX_LENGTH)); // modes 0: changes nothing
  if (adjtimex(ptr(timex)) < 0) return undefined;
  return (timex.getInt32(STATUS, true) & STA_UNSYNC) === 0;
}
