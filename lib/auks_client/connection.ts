// A TCP connection to auksd: every step has a time limit, and input is bounded before it is stored. It does not interpret
// the bytes.
import { lookup } from "node:dns/promises";
import { connect, type Socket } from "node:net";
import { systemCode, systemText } from "../os/system_text.ts";

/** The daemon can't be reached, or is gone; worth another try. */
export class ConnectionFailure extends Error {
  override readonly name = "ConnectionFailure";
}

/** The place of a daemon. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The addresses of a connection, as bytes. */
export interface SocketAddresses {
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
}

/** Failures of looking up a name, whose numbers are not the system's. */
const LOOKUP_FAILURES: Readonly<Record<string, string>> = {
  EAI_AGAIN: "the name can't be looked up now",
  EAI_NODATA: "no such host",
  ENODATA: "no such host",
  ENOTFOUND: "no such host",
};

function reasonOf(error: unknown): string {
  const code = systemCode(error)?.replace(/^DNS_/, "") ?? "";
  return LOOKUP_FAILURES[code] ?? systemText(error);
}

/** The minimum rate at which a daemon must send a message, so that it can't hold up a client for hours. */
const BYTES_PER_MS = 10;

/** How much to take from the kernel before it is requested. */
const READ_AHEAD = 1 << 20;

/** An open connection; {@linkcode close} ends it. */
export class Connection {
  readonly #socket: Socket;
  readonly #silenceMs: number;
  #received: Uint8Array[] = [];
  #length = 0;
  #ended: string | undefined;
  #wake: () => void = () => {};

  private constructor(socket: Socket, silenceMs: number) {
    this.#socket = socket;
    this.#silenceMs = silenceMs;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Uint8Array) => {
      this.#received.push(bytes);
      this.#length += bytes.length;
      if (this.#length > READ_AHEAD) socket.pause();
      this.#wake();
    });
    const end = (reason: string) => {
      this.#ended ??= reason;
      this.#wake();
    };
    socket.on("end", () => end("the daemon closed the connection"));
    socket.on("error", (error) => end(reasonOf(error)));
    socket.on("close", () => end("the connection was closed"));
  }

  /**
   * Connects to the first address of `host` that answers.
   *
   * @param timeoutMs for all of its addresses together; 0 for the system's own limit.
   * @param silenceMs how long the daemon may be silent when it has to answer.
   * @throws {ConnectionFailure} if none does.
   */
  static async open(
    { host, port }: Endpoint,
    timeoutMs: number,
    silenceMs: number,
  ): Promise<Connection> {
    const deadline = timeoutMs === 0 ? Infinity : performance.now() + timeoutMs;
    let reason = "no address";
    for (const address of await addressesOf(host, deadline)) {
      const left = deadline - performance.now();
      if (left <= 0) break;
      try {
        return new Connection(await connectTo(address, port, left), silenceMs);
      } catch (error) {
        reason = reasonOf(error);
      }
    }
    throw new ConnectionFailure(`${host}:${port}: ${reason}`);
  }

  /** The addresses of both ends. */
  get addresses(): SocketAddresses {
    const { localAddress, remoteAddress } = this.#socket;
    return { local: addressBytes(localAddress ?? ""), remote: addressBytes(remoteAddress ?? "") };
  }

  /** Sends bytes, without waiting for completion. */
  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /**
   * Receives exactly `length` bytes.
   *
   * @throws {ConnectionFailure} if the daemon closes the connection first, or is silent or too slow.
   */
  async receive(length: number): Promise<Uint8Array> {
    const deadline = performance.now() + this.#silenceMs + length / BYTES_PER_MS;
    while (this.#length < length) {
      if (this.#ended !== undefined) throw new ConnectionFailure(this.#ended);
      await this.#waitForBytes(deadline);
    }
    const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
    this.#received = all.length === length ? [] : [all.subarray(length)];
    this.#length -= length;
    return all.subarray(0, length);
  }

  /**
   * Receives a message: a 4-byte big-endian length and that many bytes.
   *
   * @param most longer messages are refused before any of their bytes is stored.
   * @throws {ConnectionFailure} as {@linkcode receive}, or if it is too long.
   */
  async receiveMessage(most: number): Promise<Uint8Array> {
    const header = await this.receive(4);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(0);
    if (length > most) {
      throw new ConnectionFailure(`the daemon announced ${length} bytes, more than there can be`);
    }
    return await this.receive(length);
  }

  /** Closes the connection after everything has been sent. */
  close(): void {
    this.#socket.end();
    this.#socket.unref();
  }

  async #waitForBytes(deadline: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = Math.min(this.#silenceMs, Math.max(0, deadline - performance.now()));
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(() => {
        this.#ended ??= `the daemon did not answer for ${this.#silenceMs / 1000} s`;
        this.#socket.destroy();
        resolve();
      }, limit);
      this.#socket.resume();
    });
    clearTimeout(timer);
    this.#wake = () => {};
  }
}

async function addressesOf(host: string, deadline: number): Promise<string[]> {
  const looked = lookup(host === "" ? "localhost" : host, { all: true });
  const limit = deadline - performance.now();
  try {
    const found = await (limit === Infinity ? looked : withLimit(looked, limit));
    return found.map(({ address }) => address);
  } catch (error) {
    throw new ConnectionFailure(`${host}: ${reasonOf(error)}`);
  }
}

function connectTo(address: string, port: number, limit: number): Promise<Socket> {
  const socket = connect({ host: address, port });
  const connected = new Promise<Socket>((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
  return limit === Infinity ? connected : withLimit(connected, limit, () => socket.destroy());
}

/** Rejects if a promise takes longer than this. */
async function withLimit<T>(
  promise: Promise<T>,
  milliseconds: number,
  giveUp: () => void = () => {},
): Promise<T> {
  const { promise: timeout, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    giveUp();
    reject(new Error("Connection timed out"));
  }, milliseconds);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** The 4 or 16 bytes of a numeric address. */
export function addressBytes(text: string): Uint8Array {
  const dotted = /(?:^|^::ffff:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/i.exec(text);
  if (dotted !== null) return Uint8Array.from(dotted.slice(1), Number);
  const [head = "", tail] = text.replace(/%.*$/, "").split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":");
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(8 - first.length - last.length).fill("0");
  const words = [...first, ...zeros, ...last].map((group) => parseInt(group, 16));
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}
