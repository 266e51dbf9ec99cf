// Sends and receives the bytes of a kept connection in the cheapest way of each runtime. Bun and Deno have sockets of their
// own; with node:net, a request would take them twice as long.
import { Buffer } from "node:buffer";
import { connect } from "node:net";

/** What a transport reports. */
export interface TransportEvents {
  /** @param bytes valid only during the call. */
  received(bytes: Uint8Array): void;
  /** Called once. @param error undefined if the other side has closed. */
  closed(error?: unknown): void;
}

/** A connection. It does not keep the process from ending unless told to. */
export interface Transport {
  /** Sends bytes, which must not change afterwards; a failure is reported as the end of the connection. */
  send(bytes: Uint8Array): void;
  close(): void;
  /** Whether to keep the process from ending. */
  hold(isHeld: boolean): void;
}

/** The part of Bun that is used here. */
interface BunSocket {
  write(bytes: Uint8Array): number;
  terminate(): void;
  ref(): void;
  unref(): void;
}
interface BunRuntime {
  connect(options: {
    unix: string;
    socket: {
      binaryType: "uint8array";
      data(socket: BunSocket, bytes: Uint8Array): void;
      drain(socket: BunSocket): void;
      close(socket: BunSocket, error?: unknown): void;
      error(socket: BunSocket, error: unknown): void;
    };
  }): Promise<BunSocket>;
}
/** The part of Deno that is used here. */
interface DenoConnection {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
  ref(): void;
  unref(): void;
}
interface DenoRuntime {
  connect(options: { transport: "unix"; path: string }): Promise<DenoConnection>;
}

const { Bun, Deno } = globalThis as unknown as { Bun?: BunRuntime; Deno?: DenoRuntime };
const READ_LENGTH = 65_536;
/** Bytes that are copied before Node.js writes them. */
const COPY_LENGTH = 4096;

/** Connects to a Unix socket. Rejects if that fails. */
export function openTransport(path: string, events: TransportEvents): Promise<Transport> {
  if (Bun !== undefined) return openInBun(Bun, path, events);
  if (Deno !== undefined) return openInDeno(Deno, path, events);
  return openInNode(path, events);
}

async function openInBun(bun: BunRuntime, path: string, events: TransportEvents) {
  /** What the socket has not taken yet. */
  let unsent: Uint8Array[] = [];
  const sendAll = (socket: BunSocket) => {
    while (unsent.length > 0) {
      const bytes = unsent[0]!;
      const count = Math.max(0, socket.write(bytes));
      if (count < bytes.length) {
        unsent[0] = bytes.subarray(count);
        return;
      }
      unsent.shift();
    }
  };
  const socket = await bun.connect({
    unix: path,
    socket: {
      binaryType: "uint8array",
      data: (_, bytes) => events.received(bytes),
      drain: sendAll,
      close: (_, error) => events.closed(error),
      error: (_, error) => events.closed(error),
    },
  });
  socket.unref();
  return {
    send(bytes: Uint8Array) {
      if (unsent.length === 0) {
        const count = Math.max(0, socket.write(bytes));
        if (count < bytes.length) unsent.push(bytes.subarray(count));
      } else unsent.push(bytes);
    },
    close() {
      unsent = [];
      socket.terminate();
    },
    hold: (isHeld: boolean) => isHeld ? socket.ref() : socket.unref(),
  };
}

async function openInDeno(deno: DenoRuntime, path: string, events: TransportEvents) {
  const connection = await deno.connect({ transport: "unix", path });
  connection.unref();
  const receive = async () => {
    const buffer = new Uint8Array(READ_LENGTH);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      events.received(buffer.subarray(0, count));
    }
  };
  receive().then(() => events.closed(), events.closed);
  const unsent: Uint8Array[] = [];
  const sendAll = async () => {
    for (let bytes; (bytes = unsent[0]) !== undefined;) {
      const count = await connection.write(bytes);
      if (count < bytes.length) unsent[0] = bytes.subarray(count);
      else unsent.shift();
    }
  };
  return {
    send(bytes: Uint8Array) {
      if (unsent.push(bytes) === 1) sendAll().catch(() => {}); // receive() gets an error as well
    },
    close: () => connection.close(),
    hold: (isHeld: boolean) => isHeld ? connection.ref() : connection.unref(),
  };
}

function openInNode(path: string, events: TransportEvents): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const buffer = new Uint8Array(READ_LENGTH);
    const socket = connect({
      path,
      onread: {
        buffer,
        callback(count, bytes) {
          events.received(bytes.subarray(0, count));
          return true;
        },
      },
    });
    socket.unref();
    let failure: unknown;
    socket.on("error", (error) => {
      failure = error;
      reject(error);
    });
    socket.on("close", () => events.closed(failure));
    socket.on("end", () => socket.destroy());
    // Node.js makes a Buffer of any other array, which takes longer than copying a short one.
    const output = Buffer.allocUnsafeSlow(COPY_LENGTH);
    socket.on("connect", () =>
      resolve({
        send(bytes) {
          const isFree = socket.writableLength === 0; // what was in it before is written
          if (!isFree || bytes.length > COPY_LENGTH) socket.write(bytes);
          else {
            output.set(bytes);
            socket.write(output.subarray(0, bytes.length));
          }
        },
        close: () => void socket.destroy(),
        hold: (isHeld) => void (isHeld ? socket.ref() : socket.unref()),
      }));
  });
}
