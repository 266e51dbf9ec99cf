// Parses auksd's messages without any of the daemon's code: a raw connection, and KRB-PRIV and AP-REP messages decrypted by
// libk5crypto with the keys from a transcript.
import { dlopen, FFIType, ptr } from "bun:ffi";
import { connect, type Socket } from "node:net";
import { DerReader, TAG } from "../../lib/auks/der.ts";

const { i32, ptr: pointer } = FFIType;
const crypto = dlopen("libk5crypto.so.3", {
  krb5_c_decrypt: { args: [pointer, pointer, i32, pointer, pointer, pointer], returns: i32 },
}).symbols;

/** A key in a transcript. */
export interface Key {
  readonly enctype: number;
  readonly base64: string;
}

/** Key usages of RFC 4120, section 7.5.1. */
export const USAGE = { apRep: 12, priv: 13 } as const;

/** Decrypts; throws for a wrong key or altered bytes. */
function decrypt(key: Key, usage: number, cipher: Uint8Array): Uint8Array {
  const keyBytes = Uint8Array.fromBase64(key.base64);
  const input = new Uint8Array(cipher); // a copy, with a stable address
  const plain = new Uint8Array(cipher.length);
  const keyblock = new DataView(new ArrayBuffer(24));
  keyblock.setInt32(4, key.enctype, true);
  keyblock.setUint32(8, keyBytes.length, true);
  keyblock.setBigUint64(16, BigInt(ptr(keyBytes)), true);
  const encrypted = new DataView(new ArrayBuffer(32));
  encrypted.setInt32(4, key.enctype, true);
  encrypted.setUint32(20, input.length, true);
  encrypted.setBigUint64(24, BigInt(ptr(input)), true);
  const output = new DataView(new ArrayBuffer(16));
  output.setUint32(4, plain.length, true);
  output.setBigUint64(8, BigInt(ptr(plain)), true);
  const code = crypto.krb5_c_decrypt(
    null,
    ptr(keyblock),
    usage,
    null,
    ptr(encrypted),
    ptr(output),
  );
  if (code !== 0) throw new Error(`krb5_c_decrypt: ${code} (${input.length} bytes)`);
  return plain.subarray(0, output.getUint32(4, true));
}

/** The EncryptedData in field `number` of a message with this application tag. */
function encryptedPart(message: Uint8Array, application: number, number: number): Uint8Array {
  const fields = fieldsOf(message, application);
  return fieldsOf(fields.get(number)!, undefined).get(2)!.subarray(
    octetsAt(fieldsOf(fields.get(number)!, undefined).get(2)!),
  );
}

/** Size of a value's tag and length. */
function octetsAt(value: Uint8Array): number {
  const first = value[1]!;
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

/** The contents of a value's fields [0], [1] ... by their numbers. */
function fieldsOf(value: Uint8Array, application: number | undefined): Map<number, Uint8Array> {
  const whole = application === undefined
    ? value
    : new DerReader(value).take(TAG.application(application));
  const sequence = new DerReader(whole).take(TAG.sequence);
  const fields = new Map<number, Uint8Array>();
  for (let at = 0; at < sequence.length;) {
    const start = octetsAt(sequence.subarray(at));
    const length = lengthOf(sequence.subarray(at));
    fields.set(sequence[at]! & 0x1f, sequence.subarray(at + start, at + start + length));
    at += start + length;
  }
  return fields;
}

function lengthOf(value: Uint8Array): number {
  const count = octetsAt(value) - 2;
  if (count === 0) return value[1]!;
  let length = 0;
  for (const byte of value.subarray(2, 2 + count)) length = length * 256 + byte;
  return length;
}

function integer(value: Uint8Array | undefined): number | undefined {
  if (value === undefined) return undefined;
  let number = 0;
  for (const byte of value.subarray(octetsAt(value))) number = number * 256 + byte;
  return number;
}

function octets(value: Uint8Array): Uint8Array {
  return value.subarray(octetsAt(value));
}

/** The contents of a KRB-PRIV. */
export interface Priv {
  readonly plain: Uint8Array;
  readonly sequence: number | undefined;
  /** Types and bytes of both addresses. */
  readonly sender: string | undefined;
  readonly receiver: string | undefined;
  readonly hasTime: boolean;
}

/** Parses a KRB-PRIV. */
export function openPriv(message: Uint8Array, key: Key): Priv {
  const part = fieldsOf(decrypt(key, USAGE.priv, encryptedPart(message, 21, 3)), 28);
  return {
    plain: octets(part.get(0)!),
    sequence: integer(part.get(3)),
    sender: address(part.get(4)),
    receiver: address(part.get(5)),
    hasTime: part.has(1) || part.has(2),
  };
}

function address(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const fields = fieldsOf(value, undefined);
  return `${integer(fields.get(0))} ${octets(fields.get(1)!).toHex()}`;
}

/** The contents of an AP-REP. */
export interface ApRep {
  /** As GeneralizedTime. */
  readonly time: string;
  readonly cusec: number | undefined;
  readonly subkey: Key | undefined;
  readonly sequence: number | undefined;
}

/** Parses an AP-REP. */
export function openApRep(message: Uint8Array, sessionKey: Key): ApRep {
  const part = fieldsOf(decrypt(sessionKey, USAGE.apRep, encryptedPart(message, 15, 2)), 27);
  const subkey = part.get(2);
  const fields = subkey === undefined ? undefined : fieldsOf(subkey, undefined);
  return {
    time: new TextDecoder().decode(octets(part.get(0)!)),
    cusec: integer(part.get(1)),
    subkey: fields === undefined ? undefined : {
      enctype: integer(fields.get(0))!,
      base64: octets(fields.get(1)!).toBase64(),
    },
    sequence: integer(part.get(3)),
  };
}

/** The error number of a KRB-ERROR. */
export function krbErrorCode(message: Uint8Array): number | undefined {
  return integer(fieldsOf(message, 30).get(6));
}

/** Less than the 10 s after which auksd disconnects a silent client, so that it must have had another reason. */
const CLOSED_MS = 8_000;

/** A connection with explicit reads. */
export class RawConnection {
  readonly socket: Socket;
  #received: Uint8Array = new Uint8Array(0);
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#wake();
    });
    for (const event of ["end", "close", "error"]) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** Connects to a loopback port. */
  static open(port: number, host = "127.0.0.1"): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true });
      const connection = new RawConnection(socket);
      socket.once("connect", () => resolve(connection));
      socket.once("error", reject);
    });
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next bytes; fewer if the other side closes first, or is silent for too long. */
  async take(length: number, milliseconds = 30_000): Promise<Uint8Array> {
    const deadline = performance.now() + milliseconds;
    while (this.#received.length < length && !this.#ended) {
      const rest = deadline - performance.now();
      if (rest <= 0) break;
      await this.#event(rest);
    }
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(taken.length);
    return taken;
  }

  /** The next message; shorter if the other side closes first. */
  async takeMessage(milliseconds = 60_000): Promise<Uint8Array> {
    const head = await this.take(4, milliseconds);
    if (head.length < 4) return head;
    return this.take(new DataView(head.buffer, head.byteOffset).getUint32(0), milliseconds);
  }

  /** Whether the other side closes within the time without sending anything more. */
  async closes(milliseconds = CLOSED_MS): Promise<boolean> {
    const deadline = performance.now() + milliseconds;
    while (!this.#ended && this.#received.length === 0) {
      const rest = deadline - performance.now();
      if (rest <= 0) return false;
      await this.#event(rest);
    }
    return this.#received.length === 0;
  }

  /** Reads until the other side closes. Returns whether it does so within the time. */
  async drained(milliseconds = CLOSED_MS): Promise<boolean> {
    const deadline = performance.now() + milliseconds;
    while (performance.now() < deadline) {
      if (await this.closes(deadline - performance.now())) return true;
      await this.take(1 << 20, 1);
    }
    return false;
  }

  close(): void {
    this.socket.destroy();
  }

  #event(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
