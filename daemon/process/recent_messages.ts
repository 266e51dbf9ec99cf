// The last errors and warnings of all threads, in memory that they share, for munged's status.

const SLOTS = 16;
const SLOT_BYTES = 512;
const SLOT_HEAD = 8 + 4 + 4;
const HEAD = 8;

/** A logged message. */
export interface RecentMessage {
  /** ISO 8601. */
  readonly time: string;
  readonly level: "error" | "warning";
  readonly text: string;
}

/** Memory for the last messages. */
export function createRecentMessages(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD + SLOTS * SLOT_BYTES);
}

/** Adds a message, replacing the oldest one. */
export function rememberMessage(
  memory: SharedArrayBuffer,
  level: RecentMessage["level"],
  text: string,
): void {
  const slot = Atomics.add(new Int32Array(memory, 0, 1), 0, 1) % SLOTS;
  const start = HEAD + slot * SLOT_BYTES;
  const bytes = new TextEncoder().encode(text).subarray(0, SLOT_BYTES - SLOT_HEAD);
  const view = new DataView(memory, start, SLOT_BYTES);
  view.setUint32(8, 0);
  new Uint8Array(memory, start + SLOT_HEAD, bytes.length).set(bytes);
  view.setFloat64(0, Date.now());
  view.setUint32(12, level === "error" ? 1 : 0);
  view.setUint32(8, bytes.length);
}

/** The messages, the newest first. */
export function recentMessages(memory: SharedArrayBuffer): RecentMessage[] {
  const messages: { at: number; message: RecentMessage }[] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    const start = HEAD + slot * SLOT_BYTES;
    const view = new DataView(memory, start, SLOT_BYTES);
    const length = view.getUint32(8);
    if (length === 0 || length > SLOT_BYTES - SLOT_HEAD) continue;
    const at = view.getFloat64(0);
    // A copy, because TextDecoder does not accept shared memory.
    const text = new TextDecoder().decode(
      new Uint8Array(memory, start + SLOT_HEAD, length).slice(),
    );
    const level = view.getUint32(12) === 1 ? "error" : "warning";
    messages.push({ at, message: { time: new Date(at).toISOString(), level, text } });
  }
  return messages.sort((a, b) => b.at - a.at).map(({ message }) => message);
}
