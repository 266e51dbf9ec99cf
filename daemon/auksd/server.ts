// auksd's sockets: listening, accepting, time limits for clients, and which client to disconnect if descriptors or memory
// run out. connection.ts handles what clients send.
import type { Socket, TCPSocketListener } from "bun";
import { parseAddress } from "../../lib/bytes/host_address.ts";
import { Connection, type ConnectionHost, type Wire } from "./connection.ts";

/** How long a client may take for the whole handshake, for each message, and to read part of a reply. */
export const PATIENCE_MS = 10_000;
const SWEEP_MS = 250;
/** The share of all connections that is reserved for handshakes. */
const HANDSHAKES_SHARE = 1 / 4;
/** Bytes of incomplete messages and unread replies kept for all clients together. */
const PENDING_BYTES_MAX = 64 * 2 ** 20;

/**
 * Bytes sent and received after which garbage is collected, which takes a millisecond or two. The runtime's own limit
 * grows with the machine's memory.
 */
const LITTER_MAX = 16 * 2 ** 20;
/** Longer replies, which only a DUMP can get, are collected at once. */
const LARGE = 2 ** 20;
/** Number of copies of a reply: plaintext and ciphertext. */
const COPIES = 2;
/** What a connection leaves behind besides its bytes. */
const LITTER_PER_CLIENT = 8192;

/** What the server needs in addition to its connections. */
export interface ServerSettings {
  /** Maximum number of open connections. */
  readonly maxConnections: number;
}

/** A reply that the socket has not accepted completely. */
interface Unsent {
  readonly bytes: Uint8Array;
  readonly done: (() => void) | undefined;
}

interface Client {
  readonly socket: Socket<Client>;
  connection: Connection;
  readonly unsent: Unsent[];
  unsentFrom: number;
  isEnding: boolean;
  /** Its share of all pending bytes. */
  counted: number;
}

/** Listens and serves clients until stopped. */
export class Server {
  readonly #host: ConnectionHost;
  readonly #maxConnections: number;
  readonly #listeners = new Map<number, TCPSocketListener<Client>>();
  /** All clients, the one silent for longest first. */
  readonly #clients = new Set<Client>();
  /** Clients with a time limit and its end, the earliest first. */
  readonly #due = new Map<Client, number>();
  /** Runs from the first listening socket on. */
  #sweeper: NodeJS.Timeout | undefined;
  #pendingBytes = 0;
  #litter = 0;
  /** Connections since the start. */
  accepted = 0;

  constructor(host: ConnectionHost, { maxConnections }: ServerSettings) {
    this.#host = host;
    this.#maxConnections = maxConnections;
  }

  /** Number of connected clients. */
  get size(): number {
    return this.#clients.size;
  }

  /** Number of clients that wait for a reply or the rest of one. */
  get busy(): number {
    let count = 0;
    for (const { connection, unsent } of this.#clients) {
      if (connection.isAnswering || unsent.length > 0) count++;
    }
    return count;
  }

  /** Accepts clients from a listening socket. */
  listen(fd: number): void {
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS);
    const options = {
      fd,
      allowHalfOpen: true, // a client that has sent everything still gets its answers
      socket: {
        open: (socket: Socket<Client>) => this.#open(socket),
        data: (socket: Socket<Client>, bytes: Uint8Array) => this.#receive(socket.data, bytes),
        drain: (socket: Socket<Client>) => this.#drain(socket.data),
        end: (socket: Socket<Client>) => this.#finished(socket.data),
        close: (socket: Socket<Client>) => this.#vanished(socket.data),
        error: (socket: Socket<Client>) => socket.terminate(),
      },
    };
    // Bun accepts a listening descriptor, though its types don't say so.
    this.#listeners.set(fd, Bun.listen<Client>(options as never));
  }

  /** Closes a listening socket; its clients stay. */
  unlisten(fd: number): void {
    this.#listeners.get(fd)?.stop(false);
    this.#listeners.delete(fd);
  }

  /** Stops accepting, gives replies in progress a moment, then disconnects the remaining clients. */
  async stop(graceMs: number): Promise<void> {
    for (const fd of [...this.#listeners.keys()]) this.unlisten(fd);
    const deadline = performance.now() + graceMs;
    for (const client of [...this.#clients]) {
      if (!client.connection.isAnswering && client.unsent.length === 0) this.#drop(client);
    }
    while (this.busy > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const client of [...this.#clients]) this.#drop(client);
    clearInterval(this.#sweeper);
  }

  #open(socket: Socket<Client>): void {
    const local = parseAddress(plain(socket.localAddress));
    const remote = parseAddress(plain(socket.remoteAddress));
    if (local === undefined || remote === undefined) {
      socket.terminate(); // it is already gone
      return;
    }
    this.accepted++;
    while (this.#clients.size >= this.#maxConnections) {
      if (this.#makeRoom()) continue;
      socket.terminate(); // every other client is being answered
      return;
    }
    this.#tidy(LITTER_PER_CLIENT);
    socket.setNoDelay(true);
    const client: Client = {
      socket,
      connection: undefined as never,
      unsent: [],
      unsentFrom: 0,
      isEnding: false,
      counted: 0,
    };
    client.connection = new Connection(
      this.#host,
      this.#wireOf(client),
      local,
      remote,
      plain(socket.remoteAddress),
    );
    socket.data = client;
    this.#clients.add(client);
    this.#due.set(client, performance.now() + PATIENCE_MS);
  }

  #wireOf(client: Client): Wire {
    return {
      get isFull() {
        return client.unsent.length > 0;
      },
      send: (bytes, done) => this.#send(client, { bytes, done }),
      end: () => {
        client.isEnding = true;
        if (client.unsent.length === 0) client.socket.end();
      },
      pause: () => void client.socket.pause(),
      resume: () => void client.socket.resume(),
    };
  }

  #receive(client: Client | undefined, bytes: Uint8Array): void {
    if (client === undefined || !this.#clients.has(client) || client.isEnding) return;
    const { connection } = client;
    const wasDue = isDue(client);
    const wasAuthenticated = connection.isAuthenticated;
    if (!this.#attempt(client, () => connection.receive(bytes))) return;
    this.#clients.delete(client);
    this.#clients.add(client);
    // The whole handshake has one time limit; after that, each message has one from its first byte.
    if (!isDue(client)) this.#due.delete(client);
    else if (!wasDue || wasAuthenticated !== connection.isAuthenticated) this.#remind(client);
    this.#count(client);
    this.#tidy(bytes.length);
  }

  /** Lets a connection act; a bug ends only that connection. Returns whether the client is still connected. */
  #attempt(client: Client, act: () => void): boolean {
    try {
      act();
      return this.#clients.has(client); // closing may have ended it already
    } catch (error) {
      this.#host.failed(client.connection, { kind: "bug", error });
      this.#drop(client);
      return false;
    }
  }

  #remind(client: Client): void {
    this.#due.delete(client);
    this.#due.set(client, performance.now() + PATIENCE_MS);
  }

  #send(client: Client, reply: Unsent): void {
    const { bytes } = reply;
    this.#tidy(bytes.length * COPIES);
    if (client.unsent.length === 0) {
      const sent = client.socket.write(bytes);
      if (sent >= bytes.length) {
        this.#dispose(reply);
        return;
      }
      client.unsentFrom = Math.max(0, sent);
      this.#remind(client);
    }
    client.unsent.push(reply);
    this.#count(client);
  }

  #drain(client: Client | undefined): void {
    if (client === undefined) return;
    while (client.unsent.length > 0) {
      const { bytes } = client.unsent[0]!;
      const sent = client.socket.write(bytes.subarray(client.unsentFrom));
      if (sent <= 0) break;
      this.#remind(client);
      client.unsentFrom += sent;
      if (client.unsentFrom < bytes.length) break;
      this.#dispose(client.unsent.shift()!);
      client.unsentFrom = 0;
    }
    this.#count(client);
    if (client.unsent.length > 0) return;
    if (client.isEnding) {
      client.socket.end();
      return;
    }
    if (!this.#attempt(client, () => client.connection.drained())) return;
    if (!isDue(client)) this.#due.delete(client);
    this.#count(client);
  }

  /** The client will send nothing more. */
  #finished(client: Client | undefined): void {
    if (client === undefined || !this.#clients.has(client) || client.isEnding) return;
    this.#attempt(client, () => client.connection.finished());
  }

  #vanished(client: Client | undefined): void {
    if (client === undefined || !this.#clients.has(client)) return;
    client.connection.vanished();
    this.#forget(client);
  }

  /** Cuts a client off. */
  #drop(client: Client): void {
    client.connection.close();
    this.#forget(client);
    client.socket.terminate();
  }

  #forget(client: Client): void {
    this.#clients.delete(client);
    this.#due.delete(client);
    for (const reply of client.unsent) this.#dispose(reply);
    client.unsent.length = 0;
    this.#pendingBytes -= client.counted;
    client.counted = 0;
  }

  #count(client: Client): void {
    if (!this.#clients.has(client)) return;
    let bytes = client.connection.pendingBytes;
    for (const unsent of client.unsent) bytes += unsent.bytes.length;
    this.#pendingBytes += bytes - client.counted;
    client.counted = bytes;
    // Only one large reply, to a DUMP, may exceed this.
    while (this.#pendingBytes > PENDING_BYTES_MAX && this.#clients.size > 1) {
      if (!this.#cutOffOldest((other) => other !== client && other.counted > 0)) return;
    }
  }

  #dispose({ bytes, done }: Unsent): void {
    bytes.fill(0);
    if (bytes.length > LARGE) this.#tidy(LITTER_MAX); // before the next one is made
    done?.();
  }

  #tidy(litter: number): void {
    this.#litter += litter;
    if (this.#litter < LITTER_MAX) return;
    this.#litter = 0;
    setImmediate(() => Bun.gc(true));
  }

  /**
   * Disconnects a client to make room for a new one: the longest silent of those that have not authenticated, if there
   * are many of them; otherwise the longest silent of all, so that idle connections can't keep out new clients.
   */
  #makeRoom(): boolean {
    const areMany = this.#due.size >= this.#maxConnections * HANDSHAKES_SHARE;
    return (areMany && this.#cutOffOldest(({ connection }) => !connection.isAuthenticated)) ||
      this.#cutOffOldest();
  }

  /** Disconnects the client silent for longest. */
  #cutOffOldest(isChosen: (client: Client) => boolean = () => true): boolean {
    for (const client of this.#clients) {
      if (client.connection.isAnswering || !isChosen(client)) continue;
      this.#drop(client);
      return true;
    }
    return false;
  }

  #sweep(): void {
    const now = performance.now();
    for (const [client, until] of this.#due) {
      if (until > now) return;
      this.#host.failed(client.connection, { kind: "timeout", seconds: PATIENCE_MS / 1000 });
      this.#drop(client);
    }
  }
}

/** Whether a client must send the rest of a message, or read a reply, within the time limit. */
function isDue({ connection, unsent }: Client): boolean {
  return connection.isDue || unsent.length > 0;
}

/** An address without the scope ID of a link-local one. */
function plain(address: string | undefined): string {
  return (address ?? "").split("%")[0]!;
}
