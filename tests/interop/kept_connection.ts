// A kept connection at the level of the protocol, for tests: what is sent over it, and what comes back.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { EAGAIN, fixedMemory } from "../../lib/os/libc.ts";
import { unixAddress } from "../../lib/os/unix_address.ts";
import {
  closeStream,
  connectStream,
  ready,
  receiveInto,
  sendFrom,
} from "../../lib/os/unix_stream.ts";
import {
  formatKeepRequest,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseEncodeResponse,
  parseHeader,
  parseKeepResponse,
} from "../../lib/protocol/message.ts";

/** The terms that munged offers to clients that ask for one. */
export const TERMS = { idleMs: 10_000, maxLength: 16_384, maxInFlight: 64 };
/** Far longer than munged waits for anything, even on a busy machine. */
const PATIENCE_MS = 60_000;
const open: Connection[] = [];

/** A connection, and the answers that came over it. */
export class Connection {
  readonly fd: number;
  #bytes = new Uint8Array(0);
  #isClosed = false;
  readonly #buffer = new Uint8Array(fixedMemory(1 << 20));

  constructor(socket: string) {
    let fd = connectStream(unixAddress(socket)!);
    while (typeof fd !== "number") {
      assert.equal(fd.errno, EAGAIN, `${fd}`); // the listen queue is full, until munged gets its turn
      Bun.sleepSync(5);
      fd = connectStream(unixAddress(socket)!);
    }
    this.fd = fd;
    open.push(this);
  }

  /** Sends messages, or parts of some. */
  send(...messages: Uint8Array[]): void {
    const bytes = joined(messages);
    for (let at = 0; at < bytes.length;) {
      assert.equal(ready(this.fd, "write", PATIENCE_MS), true, "munged does not read");
      const count = sendFrom(this.fd, bytes, at);
      assert.equal(typeof count, "number", `${count}`);
      at += count as number;
    }
  }

  /** Takes in what has arrived. Returns the number of messages that nobody has taken with {@linkcode next}. */
  waiting(): number {
    while (!this.#isClosed && ready(this.fd, "read", 0)) this.#receive();
    let count = 0;
    for (let at = 0; at + HEADER_LENGTH <= this.#bytes.length; count++) {
      at += HEADER_LENGTH + parseHeader(this.#bytes.subarray(at)).length;
    }
    return count;
  }

  #receive(): void {
    const count = receiveInto(this.fd, this.#buffer, 0);
    if (typeof count !== "number" || count === 0) this.#isClosed = true;
    else this.#bytes = joined([this.#bytes, this.#buffer.subarray(0, count)]);
  }

  /** The next message; "closed" once munged has hung up. */
  next(): { type: number; retry: number; body: Uint8Array } | "closed" {
    for (;;) {
      if (this.#bytes.length >= HEADER_LENGTH) {
        const { type, retry, length } = parseHeader(this.#bytes);
        const end = HEADER_LENGTH + length;
        if (this.#bytes.length >= end) {
          const body = this.#bytes.slice(HEADER_LENGTH, end);
          this.#bytes = this.#bytes.slice(end);
          return { type, retry, body };
        }
      }
      if (this.#isClosed) return "closed";
      assert.equal(
        ready(this.fd, "read", PATIENCE_MS),
        true,
        "munged neither answers nor hangs up",
      );
      this.#receive();
    }
  }

  /** The credential in the next message. */
  credential(): Uint8Array {
    const answer = this.next();
    assert.ok(answer !== "closed", "munged has hung up");
    assert.equal(answer.type, MESSAGE_TYPE.encodeResponse);
    const { errno, credential } = parseEncodeResponse(answer.body);
    assert.equal(errno, 0);
    return credential;
  }

  /** Closes it. */
  close(): void {
    closeStream(this.fd);
    open.splice(open.indexOf(this), 1);
  }
}

/** All of these bytes, in little time, as munged waits for no message longer than two seconds. */
function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

/** A connection that munged keeps. */
export function kept(socket: string, log = (): string => ""): Connection {
  const connection = new Connection(socket);
  connection.send(formatKeepRequest(0));
  const answer = connection.next();
  assert.ok(answer !== "closed", `not kept: ${log()}`);
  assert.deepEqual(parseKeepResponse(answer.body), TERMS);
  return connection;
}

/** Has another process, which inherits the connection, send bytes over it. */
export function sendAs(uid: number, { fd }: Connection, bytes: Uint8Array): void {
  const user = ["--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups"];
  const { status, stderr } = spawnSync("setpriv", [...user, "cat"], {
    input: bytes,
    stdio: ["pipe", fd, "pipe"],
  });
  assert.equal(status, 0, `${stderr}`);
}

/** Closes all connections that are open. */
export function closeAll(): void {
  for (const connection of [...open]) connection.close();
}
