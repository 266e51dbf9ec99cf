// Listening to an AbortSignal that a thousand calls may share: one listener on the signal for all of them,
// since Node.js takes more than ten for a leak and says so on stderr.

const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `aborted` once the signal is, unless the function that is returned was called before. */
export function onAbort(signal: AbortSignal | undefined, aborted: () => void): () => void {
  if (signal === undefined) return () => {};
  let callbacks = callbacksOf.get(signal);
  if (callbacks === undefined) {
    const added = callbacks = new Set();
    callbacksOf.set(signal, added);
    signal.addEventListener("abort", () => {
      for (const callback of [...added]) callback();
    }, { once: true });
  }
  // A function of its own, since the same one may be given twice.
  const callback = () => aborted();
  callbacks.add(callback);
  return () => {
    callbacks.delete(callback);
  };
}

/** Waits this long. Rejects with the signal's reason once it is aborted. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      stopListening();
      resolve();
    }, milliseconds);
    const stopListening = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal!.reason);
    });
  });
}
