// Listens to an AbortSignal that thousands of calls may share, with one listener for all of them, because Node.js reports
// more than ten as a leak on stderr.

const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `aborted` once the signal is aborted. The returned function cancels this. */
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
  // A separate function, because the same one may be passed twice.
  const callback = () => aborted();
  callbacks.add(callback);
  return () => {
    callbacks.delete(callback);
  };
}

/** Waits. Rejects with the signal's reason once it is aborted. */
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
