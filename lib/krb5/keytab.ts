// Keytabs, the files with a service's keys, and copies of them in memory.
import { read } from "../os/libc.ts";
import { type Context, KRB5 } from "./context.ts";
import { KEYTAB_ENTRY } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import { type Address, clearCells, cText, resultCell, secondCell, threadMemory } from "./memory.ts";
import { principalText } from "./principal.ts";

/** A keytab's entry for one key. */
export interface KeytabEntry {
  readonly principal: string;
  readonly version: number;
  readonly enctype: number;
}

/** Memory for the next entry of a keytab. */
const entryAddress = threadMemory(KEYTAB_ENTRY.bytes).at;
let copies = 0;

/** An open keytab, which must be closed. */
export class Keytab {
  readonly #context: Context;
  /** For other files in this folder. */
  readonly address: Address;

  private constructor(context: Context, address: Address) {
    this.#context = context;
    this.address = address;
  }

  /** The keytab named by KRB5_KTNAME or krb5.conf. @throws {KerberosError} */
  static default(context: Context): Keytab {
    const code = libkrb5().krb5_kt_default(context.address, resultCell);
    return new Keytab(context, context.take("krb5_kt_default", code));
  }

  /** The keytab with this name, `TYPE:REST` or a file's path; need not exist. @throws {KerberosError} */
  static resolve(context: Context, name: string): Keytab {
    const code = libkrb5().krb5_kt_resolve(context.address, cText(name), resultCell);
    return new Keytab(context, context.take("krb5_kt_resolve", code));
  }

  /** Its entries, in no particular order. @throws {KerberosError} if it can't be read. */
  entries(): KeytabEntry[] {
    const found: KeytabEntry[] = [];
    this.#each((address) => {
      found.push({
        principal: principalText(
          this.#context,
          read.ptr(address, KEYTAB_ENTRY.principal) as Address,
        ),
        version: read.u32(address, KEYTAB_ENTRY.version),
        enctype: read.u32(address, KEYTAB_ENTRY.enctype),
      });
    });
    return found;
  }

  /**
   * A copy in this process's memory, which can be read without opening a file. It disappears when closed.
   *
   * @throws {KerberosError} if this keytab can't be read.
   */
  copyToMemory(): Keytab {
    const copy = Keytab.resolve(this.#context, `MEMORY:mungebox-${process.pid}-${++copies}`);
    try {
      this.#each((address) => {
        const code = libkrb5().krb5_kt_add_entry(this.#context.address, copy.address, address);
        this.#context.check("krb5_kt_add_entry", code);
      });
      return copy;
    } catch (error) {
      copy.close();
      throw error;
    }
  }

  #each(take: (entry: Address) => void): void {
    const krb5 = libkrb5();
    const context = this.#context;
    clearCells();
    context.check(
      "krb5_kt_start_seq_get",
      krb5.krb5_kt_start_seq_get(context.address, this.address, secondCell),
    );
    try {
      for (;;) {
        const code = krb5.krb5_kt_next_entry(
          context.address,
          this.address,
          entryAddress,
          secondCell,
        );
        if (code === KRB5.KT_END) return;
        context.check("krb5_kt_next_entry", code);
        try {
          take(entryAddress);
        } finally {
          krb5.krb5_free_keytab_entry_contents(context.address, entryAddress); // also wipes the key
        }
      }
    } finally {
      krb5.krb5_kt_end_seq_get(context.address, this.address, secondCell);
    }
  }

  /** Closes it. */
  close(): void {
    libkrb5().krb5_kt_close(this.#context.address, this.address);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
