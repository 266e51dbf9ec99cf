// The part of the ELF format (System V ABI, chapters 4 and 5) needed to set a runtime's entry point, for 64-bit little-endian
// executables that are not relocated: symbols, segments and the entry point.

const MAGIC = 0x7f454c46;
/** ELFOSABI_FREEBSD */
const FREEBSD = 9;
const CLASS_64_LITTLE = 0x0201;
const EXECUTABLE = 2;
const MACHINES: Readonly<Record<number, "x64" | "arm64">> = { 62: "x64", 183: "arm64" };
const SEGMENT_LENGTH = 56;
const LOAD = 1;
const SECTION_LENGTH = 64;
const DYNAMIC_SYMBOLS = 11;
const SYMBOL_LENGTH = 24;
const RELOCATIONS = 4;
const RELOCATION_LENGTH = 24;
/** R_X86_64_JUMP_SLOT and R_AARCH64_JUMP_SLOT. */
const JUMP_SLOT = { x64: 7, arm64: 1026 } as const;

/** A dynamic symbol. */
interface ElfSymbol {
  /** Its index in the table. */
  readonly index: number;
  readonly address: number;
  readonly size: number;
}

/** A section, by its place in the file. */
interface Section {
  readonly type: number;
  readonly start: number;
  readonly end: number;
  /** The section it refers to; for symbols, their names. */
  readonly link: number;
}

/** Whether a file is an ELF file for Linux, and not for FreeBSD, which brands its own. */
export function isLinuxElf(bytes: Buffer): boolean {
  return isElf(bytes) && bytes[7] !== FREEBSD;
}

function isElf(bytes: Buffer): boolean {
  return bytes.readUInt32BE(0) === MAGIC;
}

/** An executable in memory, changed in place. */
export class Elf {
  readonly architecture: "x64" | "arm64";
  readonly #bytes: Buffer;

  /** @throws {Error} for any other kind of file. */
  constructor(bytes: Buffer) {
    const architecture = MACHINES[bytes.readUInt16LE(18)];
    if (
      !isElf(bytes) || bytes.readUInt16BE(4) !== CLASS_64_LITTLE ||
      bytes.readUInt16LE(16) !== EXECUTABLE || architecture === undefined
    ) {
      throw new Error("Not an ELF executable of fixed addresses for x64 or arm64");
    }
    this.architecture = architecture;
    this.#bytes = bytes;
  }

  /** The address at which the kernel or the dynamic linker starts the program. */
  get entry(): number {
    return this.#u64(24);
  }

  set entry(address: number) {
    this.#bytes.writeBigUInt64LE(BigInt(address), 24);
  }

  /** Offset in the file of an address in a loaded segment. */
  offset(address: number): number {
    const table = this.#u64(32);
    for (let i = 0; i < this.#bytes.readUInt16LE(56); i++) {
      const at = table + i * SEGMENT_LENGTH;
      const start = this.#u64(at + 16);
      if (this.#bytes.readUInt32LE(at) !== LOAD || address < start) continue;
      if (address < start + this.#u64(at + 32)) return this.#u64(at + 8) + address - start;
    }
    throw new Error(`No segment has the address ${address}`);
  }

  /** A symbol of the dynamic symbol table, by name. */
  symbol(name: string): ElfSymbol {
    for (const { start, end, link } of this.#sections(DYNAMIC_SYMBOLS)) {
      const names = this.#section(link).start;
      for (let at = start; at < end; at += SYMBOL_LENGTH) {
        const text = names + this.#bytes.readUInt32LE(at);
        const found = this.#bytes.toString("latin1", text, this.#bytes.indexOf(0, text));
        if (found !== name) continue;
        const index = (at - start) / SYMBOL_LENGTH;
        return { index, address: this.#u64(at + 8), size: this.#u64(at + 16) };
      }
    }
    throw new Error(`The executable has no symbol ${name}`);
  }

  /** The address of the word with the address of another library's function. */
  slot(name: string): number {
    const { index } = this.symbol(name);
    for (const { start, end } of this.#sections(RELOCATIONS)) {
      for (let at = start; at < end; at += RELOCATION_LENGTH) {
        const isCalled = this.#bytes.readUInt32LE(at + 8) === JUMP_SLOT[this.architecture];
        if (isCalled && this.#bytes.readUInt32LE(at + 12) === index) return this.#u64(at);
      }
    }
    throw new Error(`The executable does not call ${name}`);
  }

  #section(index: number): Section {
    const at = this.#u64(40) + index * SECTION_LENGTH;
    const start = this.#u64(at + 24);
    return {
      type: this.#bytes.readUInt32LE(at + 4),
      start,
      end: start + this.#u64(at + 32),
      link: this.#bytes.readUInt32LE(at + 40),
    };
  }

  #sections(type: number): Section[] {
    const sections = Array.from(
      { length: this.#bytes.readUInt16LE(60) },
      (_, index) => this.#section(index),
    );
    return sections.filter((section) => section.type === type);
  }

  #u64(at: number): number {
    return Number(this.#bytes.readBigUInt64LE(at));
  }
}
