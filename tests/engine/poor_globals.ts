// A thread without memory for large allocations.

const LARGEST = 300_000;

function limited<T extends ArrayBufferConstructor | Uint8ArrayConstructor>(constructor: T): T {
  const proxy: T = new Proxy(constructor, {
    construct(target, args, newTarget) {
      if (args[0] > LARGEST) throw new RangeError("Out of memory");
      return Reflect.construct(target, args, newTarget === proxy ? target : newTarget);
    },
  });
  return proxy;
}

const { transfer } = ArrayBuffer.prototype;
ArrayBuffer.prototype.transfer = function (this: ArrayBuffer, length = this.byteLength) {
  if (length > LARGEST) throw new RangeError("Out of memory");
  return transfer.call(this, length);
};
globalThis.ArrayBuffer = limited(ArrayBuffer);
globalThis.Uint8Array = limited(Uint8Array);
