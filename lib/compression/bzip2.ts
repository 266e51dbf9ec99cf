// Loads libbzip2, compiled to WebAssembly, from the npm package bzip2-wasm, and makes its two one-shot calls with bounded
// buffers. The package's own wrapper is not used, because it writes globals and leaks memory on errors.
import type * as NodeFs from "node:fs";
import { createRequire } from "node:module";
import { MungeError } from "../errors.ts";
import type { Codec } from "./choice.ts";

/** An error of libbzip2; the message has its BZ_* number. */
class Bzip2Error extends Error {
  override readonly name = "Bzip2Error";
}

/** The exports of bzip2.wasm used here. All numbers are addresses, lengths or BZ_* results. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  __wasm_call_ctors(): void;
  emscripten_stack_init(): void;
  malloc(length: number): number;
  free(address: number): void;
  BZ2_bzBuffToBuffCompress(
    target: number,
    targetLengthAt: number,
    source: number,
    sourceLength: number,
    blockSize: number,
    verbosity: number,
    workFactor: number,
  ): number;
  BZ2_bzBuffToBuffDecompress(
    target: number,
    targetLengthAt: number,
    source: number,
    sourceLength: number,
    small: number,
    verbosity: number,
  ): number;
}

const BLOCK_SIZE = 9; // of 100,000 bytes, as MUNGE requires (docs/protocol.md, "The credential")
const BZ_OK = 0;
/** Length of a page of WebAssembly's memory. */
const PAGE_LENGTH = 65_536;
/** Maximum memory of an instance that is kept, because it never shrinks. */
const MEMORY_KEPT = 16 * 2 ** 20;
const EBADF = 8; // WASI's number

/** A loaded libbzip2. Not reentrant, but its two functions never yield. */
class Bzip2 {
  readonly #module: WebAssembly.Module;
  /** The instance; undefined until it is needed. */
  #instance: Exports | undefined;

  constructor(module: WebAssembly.Module) {
    this.#module = module;
  }

  /** Makes sure that there is an instance. */
  prepare(): this {
    this.#instance ??= instantiate(this.#module);
    return this;
  }

  /** Leaves the memory to the garbage collector. */
  drop(): void {
    this.#instance = undefined;
  }

  /** Compresses at level 9. Throws {@linkcode Bzip2Error}. */
  compress(data: Uint8Array): Uint8Array {
    // The bound documented in bzlib.h: 1 % plus 600 bytes more than the data.
    const bound = data.length + Math.ceil(data.length / 100) + 600;
    return this.#run(
      data,
      bound,
      (call, target, lengthAt, source) =>
        call.BZ2_bzBuffToBuffCompress(target, lengthAt, source, data.length, BLOCK_SIZE, 0, 0),
    );
  }

  /** Decompresses to at most `bound` bytes. Throws {@linkcode Bzip2Error} for longer data and bad streams. */
  decompress(stream: Uint8Array, bound: number): Uint8Array {
    return this.#run(
      stream,
      bound,
      (call, target, lengthAt, source) =>
        call.BZ2_bzBuffToBuffDecompress(target, lengthAt, source, stream.length, 0, 0),
    );
  }

  /** Calls libbzip2 once, from `input` into at most `bound` bytes, then wipes its buffers. */
  #run(
    input: Uint8Array,
    bound: number,
    call: (exports: Exports, target: number, lengthAt: number, source: number) => number,
  ): Uint8Array {
    const exports = this.#instance!;
    // One allocation: the length (4 bytes), the target, the source.
    const length = 4 + bound + input.length;
    const lengthAt = exports.malloc(length);
    if (lengthAt === 0) throw new Bzip2Error("Out of memory");
    const target = lengthAt + 4;
    const source = target + bound;
    // Made anew each time: libbzip2's own allocations may make the memory grow, which detaches its buffer.
    const heap = () => new Uint8Array(exports.memory.buffer);
    const lengthView = () => new DataView(exports.memory.buffer, lengthAt, 4);
    try {
      heap().set(input, source);
      lengthView().setUint32(0, bound, true);
      const result = call(exports, target, lengthAt, source);
      if (result !== BZ_OK) throw new Bzip2Error(`bzip2 failed with ${result}`);
      return heap().slice(target, target + lengthView().getUint32(0, true));
    } catch (error) {
      // After a trap or a failed assertion the state of the instance is unknown; the next call gets a new one.
      if (!(error instanceof Bzip2Error)) this.drop();
      throw error;
    } finally {
      heap().fill(0, lengthAt, lengthAt + length);
      exports.free(lengthAt);
      if (exports.memory.buffer.byteLength > MEMORY_KEPT) this.drop();
    }
  }
}

function instantiate(module: WebAssembly.Module): Exports {
  const refuse = () => EBADF;
  const imports = {
    env: {
      exit() {
        throw new Error("bzip2 ended with an assertion");
      },
      emscripten_memcpy_big(target: number, source: number, length: number) {
        new Uint8Array(exports.memory.buffer).copyWithin(target, source, source + length);
      },
      // The initial 16 MiB hold the 8 MB of level 9 and payloads of a few MiB; longer ones need more.
      emscripten_resize_heap(length: number) {
        const { memory } = exports;
        try {
          memory.grow(Math.ceil((length - memory.buffer.byteLength) / PAGE_LENGTH));
          return 1;
        } catch {
          return 0; // out of memory, or beyond the module's maximum
        }
      },
    },
    wasi_snapshot_preview1: { fd_close: refuse, fd_seek: refuse, fd_write: refuse },
  };
  const exports = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
  exports.__wasm_call_ctors();
  exports.emscripten_stack_init();
  return exports;
}

let loaded: Bzip2 | undefined;

/** libbzip2, loaded on first use, which takes about 10 ms and 16 MiB of address space. */
function library(): Bzip2 {
  try {
    return (loaded ??= new Bzip2(load())).prepare();
  } catch (cause) {
    throw new MungeError("EMUNGE_BAD_ZIP", "Failed to load bzip2", { cause });
  }
}

/** Drops the memory of earlier calls, up to 16 MiB. */
export function dropBzip2Memory(): void {
  loaded?.drop();
}

/** bzip2 at level 9. */
export const bzip2: Codec = {
  compress: (data) => library().compress(data),
  decompress: (stream, bound) => library().decompress(stream, bound),
};

function load(): WebAssembly.Module {
  const { readFileSync } = createRequire(import.meta.url)("node:fs") as typeof NodeFs;
  return new WebAssembly.Module(readFileSync(wasmPath()));
}

function wasmPath(): string {
  // Bun's bundler puts a file named in require() into the compiled binary. Deno would treat an import() of it as
  // a module, and an undeclared require() is harmless where it is not reached.
  return "Bun" in globalThis
    ? require("bzip2-wasm/bzip2-1.0.8/bzip2.wasm")
    : createRequire(import.meta.url).resolve("bzip2-wasm/bzip2-1.0.8/bzip2.wasm");
}
