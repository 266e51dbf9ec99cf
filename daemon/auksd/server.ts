// auksd's sockets: listening, accepting, time limits for clients, and which client to disconnect if descriptors or memory
// run out. connection.ts handles what clients send.
import type { Socket, TCPSocketListener } from "bun";
import { parseAddress } from "../../lib/bytes/host_address.ts";
import { Connection, type ConnectionHost, type Wire } from "./connection.ts";
import { Garbage } from "./garbage.ts";
import { Outbox } from "./outbox.ts";

/** How long a client may take for the whole handshake, for each message, and to read part of a reply. */
const CLIENT_TIMEOUT_MS = 10_000;
const SWEEP_MS = 250;
/** The share of all connections that is reserved for handshakes. */
const HANDSHAKES_SHARE = 1 / 4;
/** Bytes of incomplete messages and unread replies kept for all clients together. */
const PENDING_BYTES_MAX = 64 * 2 ** 20;

/** What a connection leaves behind besides its bytes. */
const GARBAGE_PER_CLIENT = 8192;

/** What the server needs in addition to its connections. */
export interface ServerSettings {
  /** Maximum number of open connections. */
  readonly maxConnections: number;
}

interface Client {
  readonly socket: Socket<Client>;
  connection: Connection;
  readonly outbox: Outbox;
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
  readonly #garbage = new Garbage();
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
    for (const { connection, outbox } of this.#clients) {
      if (connection.isAnswering || !outbox.isEmpty) count++;
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
        close: (socket: Socket<Client>) => this.#disconnected(socket.data),
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
      if (!client.connection.isAnswering && client.outbox.isEmpty) this.#drop(client);
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
    this.#garbage.add(GARBAGE_PER_CLIENT);
    socket.setNoDelay(true);
    const client: Client = {
      socket,
      connection: undefined as never,
      outbox: new Outbox((bytes) => socket.write(bytes), this.#garbage),
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
    this.#due.set(client, performance.now() + CLIENT_TIMEOUT_MS);
  }

  #wireOf(client: Client): Wire {
    return {
      get isFull() {
        return !client.outbox.isEmpty;
      },
      send: (bytes, done) => this.#send(client, bytes, done),
      end: () => {
        client.isEnding = true;
        if (client.outbox.isEmpty) client.socket.end();
      },
      pause: () => void client.socket.pause(),
      resume: () => void client.socket.resume(),
      awaitTurn: () => void setImmediate(() => this.#takeTurn(client)),
    };
  }

  #receive(client: Client | undefined, bytes: Uint8Array): void {
    if (client === undefined || !this.#clients.has(client) || client.isEnding) return;
    if (!this.#advance(client, () => client.connection.receive(bytes))) return;
    this.#clients.delete(client);
    this.#clients.add(client);
    this.#count(client);
    this.#garbage.add(bytes.length);
  }

  #takeTurn(client: Client): void {
    if (!this.#clients.has(client)) return;
    if (this.#advance(client, () => client.connection.takeTurn())) this.#count(client);
  }

  /** Lets a connection process messages, and sets its time limit. Returns whether the client is still connected. */
  #advance(client: Client, act: () => void): boolean {
    const { connection } = client;
    const wasDue = isDue(client);
    const wasAuthenticated = connection.isAuthenticated;
    if (!this.#attempt(client, act)) return false;
    // The whole handshake has one time limit; after that, each message has one from its first byte.
    if (!isDue(client)) this.#due.delete(client);
    else if (!wasDue || wasAuthenticated !== connection.isAuthenticated) {
      this.#restartTimeout(client);
    }
    return true;
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

  #restartTimeout(client: Client): void {
    this.#due.delete(client);
    this.#due.set(client, performance.now() + CLIENT_TIMEOUT_MS);
  }

  #send(client: Client, bytes: Uint8Array, done: (() => void) | undefined): void {
    const { outbox } = client;
    const wasEmpty = outbox.isEmpty;
    outbox.send(bytes, done);
    if (outbox.isEmpty) return;
    if (wasEmpty) this.#restartTimeout(client);
    this.#count(client);
  }

  #drain(client: Client | undefined): void {
    if (client === undefined) return;
    const { outbox } = client;
    if (outbox.drain()) this.#restartTimeout(client);
    this.#count(client);
    if (!outbox.isEmpty) return;
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

  #disconnected(client: Client | undefined): void {
    if (client === undefined || !this.#clients.has(client)) return;
    client.connection.disconnected();
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
    client.outbox.clear();
    this.#pendingBytes -= client.counted;
    client.counted = 0;
  }

  #count(client: Client): void {
    if (!this.#clients.has(client)) return;
    const bytes = client.connection.heldBytes + client.outbox.bytes;
    this.#pendingBytes += bytes - client.counted;
    client.counted = bytes;
    // Only one large reply, to a DUMP, may exceed this.
    while (this.#pendingBytes > PENDING_BYTES_MAX && this.#clients.size > 1) {
      if (!this.#cutOffOldest((other) => other !== client && other.counted > 0)) return;
    }
  }

  /**
   * Disconnects a client to make room for a new one, so that idle connections can't keep out new clients. If many clients
   * have not authenticated, that is the longest silent of those, otherwise the longest silent of all.
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
      this.#host.failed(client.connection, { kind: "timeout", seconds: CLIENT_TIMEOUT_MS / 1000 });
      this.#drop(client);
    }
  }
}

/** Whether a client must send the rest of a message, or read a reply, within the time limit. */
function isDue({ connection, outbox }: Client): boolean {
  return connection.isDue || !outbox.isEmpty;
}

/** An address without the scope ID of a link-local one. */
function plain(address: string | undefined): string {
  return (address ?? "").split("%")[0]!;
}
