// One connection to one server of the store. It uses the runtime's client, which sends each command once: it neither queues
// commands while there is no connection, nor repeats any on a new one. store.ts decides what to do about a command without
// an answer.
import type { StoreAddress } from "../config.ts";
import { type Access, formatAddress, secretUrl } from "./access.ts";
import { diagnose } from "./diagnosis.ts";

/** The connection was lost; it is unknown whether the commands without an answer were carried out. */
export class LinkLost extends Error {}

/** The server refused a command and did not carry it out. */
export class ServerRefusal extends Error {
  /** The first word of its answer, such as OOM or READONLY. */
  readonly word: string;

  constructor(message: string) {
    super(message);
    this.word = /^[A-Z]+/.exec(message)?.[0] ?? "";
  }
}

type Client = InstanceType<typeof Bun.RedisClient>;

/** An open connection. */
export class Link {
  readonly address: StoreAddress;
  /** Settles when it is lost or closed. */
  readonly closed: Promise<void>;
  readonly #client: Client;
  readonly #silence: number;
  #isClosed = false;
  #unanswered = 0;
  /** When the server last answered or owed no answer, on the monotonic clock. */
  #heard = 0;
  #watch: ReturnType<typeof setTimeout> | undefined;

  private constructor(address: StoreAddress, client: Client, silence: number) {
    this.address = address;
    this.#client = client;
    this.#silence = silence;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    client.onclose = () => {
      this.#isClosed = true;
      clearTimeout(this.#watch);
      closed.resolve();
    };
  }

  /**
   * Connects and logs in.
   *
   * @param timeout maximum milliseconds for that.
   * @param silence milliseconds without any answer after which the connection counts as lost.
   * @throws {Error} with the reason.
   */
  static async open(
    address: StoreAddress,
    access: Access,
    timeout: number,
    silence: number,
  ): Promise<Link> {
    const client = new Bun.RedisClient(secretUrl(address, access), {
      connectionTimeout: timeout,
      autoReconnect: false,
      enableOfflineQueue: false,
      ...(access.tls === null ? {} : {
        tls: access.tls.ca === undefined ? true : { ca: access.tls.ca },
      }),
    });
    const link = new Link(address, client, silence);
    try {
      await client.connect();
      return link;
    } catch (error) {
      client.close();
      const reason = await diagnose(address, access, timeout);
      throw new Error(`${formatAddress(address)}: ${reason}`, { cause: error });
    }
  }

  /** Whether commands can be sent. */
  get isOpen(): boolean {
    return !this.#isClosed;
  }

  /**
   * Sends a command, after all earlier ones.
   *
   * @throws {LinkLost} {ServerRefusal}
   */
  send(command: string, args: readonly string[]): Promise<unknown> {
    if (this.#unanswered++ === 0) this.#heard = performance.now();
    if (this.#watch === undefined) this.#listen();
    return this.#client.send(command, args as string[]).then(this.#answered, this.#failed);
  }

  readonly #answered = (answer: unknown): unknown => {
    this.#unanswered--;
    this.#heard = performance.now();
    return answer;
  };

  readonly #failed = (error: Error & { readonly code?: string }): never => {
    this.#unanswered--;
    if (error.code === "ERR_REDIS_SERVER_ERROR") {
      this.#heard = performance.now();
      throw new ServerRefusal(error.message);
    }
    this.#isClosed = true;
    throw new LinkLost(error.message);
  };

  /** Closes the connection; commands without an answer fail. */
  close(): void {
    this.#client.close();
  }

  /** Closes the connection if a server that owes answers stays silent. While it owes none, there is no timer. */
  #listen(milliseconds = this.#silence): void {
    this.#watch = setTimeout(() => {
      this.#watch = undefined;
      if (this.#isClosed || this.#unanswered === 0) return;
      const left = this.#heard + this.#silence - performance.now();
      if (left > 0) this.#listen(left);
      else this.close();
    }, milliseconds);
  }
}
