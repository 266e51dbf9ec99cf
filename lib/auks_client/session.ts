// One authenticated conversation with auksd: the client's side of sendauth, then requests and replies in KRB-PRIV messages.
// It neither interprets requests nor decides whether to try another server; every failure explains itself.
import type { AuksErrorName } from "../auks/errors.ts";
import { ClientAuthentication, DUMMY_ADDRESS } from "../krb5/authentication.ts";
import { type Context, KerberosError } from "../krb5/context.ts";
import type { Credential } from "../krb5/credential.ts";
import { type Connection, ConnectionFailure } from "./connection.ts";
import { explainKrbError, type KrbErrorExplanation } from "./krb_error.ts";

/** A failed attempt at one server. */
export class AttemptFailure extends Error {
  override readonly name = "AttemptFailure";
  /** The original's error. */
  readonly error: AuksErrorName;
  /** Whether it may succeed later without intervention. */
  readonly isTransient: boolean;

  /** @param reason in the user's terms. */
  constructor(
    error: AuksErrorName,
    reason: string,
    { isTransient = false }: { isTransient?: boolean } = {},
  ) {
    super(reason);
    this.error = error;
    this.isTransient = isTransient;
  }
}

/** `KRB5_SENDAUTH_V1.0` and `0.1`, each as a message: length, text, NUL. */
const VERSIONS = new TextEncoder().encode("\0\0\0\x13KRB5_SENDAUTH_V1.0\0\0\0\0\x040.1\0");
/** KRB-ERRORs and AP-REPs are a few hundred bytes. */
const MAX_HANDSHAKE_MESSAGE = 1 << 16;
/** Maximum overhead of a KRB-PRIV over its contents. */
const KRB_PRIV_OVERHEAD = 1024;
const ADDRESS_TYPES: Readonly<Record<number, number>> = { 4: 2, 16: 24 };

/** The daemon's possible answers to the versions. */
const REFUSED_VERSIONS: Readonly<Record<number, string>> = {
  1: "the daemon does not know this version of Kerberos's sendauth",
  2: "the server there is not auksd: it refuses AUKS's version",
};

/** An authenticated connection; {@linkcode close} ends it. */
export class Session {
  readonly #connection: Connection;
  readonly #authentication: ClientAuthentication;
  /** The client, for explanations. */
  readonly #client: string;
  #broken = false;

  private constructor(
    connection: Connection,
    authentication: ClientAuthentication,
    client: string,
  ) {
    this.#connection = connection;
    this.#authentication = authentication;
    this.#client = client;
  }

  /**
   * Authenticates.
   *
   * @param connection a fresh connection to the daemon; closed on failure.
   * @param ticket for the daemon's principal.
   * @param nat whether both sides leave out their addresses.
   * @throws {AttemptFailure}
   */
  static async open(
    context: Context,
    connection: Connection,
    ticket: Credential,
    nat: boolean,
  ): Promise<Session> {
    const authentication = new ClientAuthentication(context);
    try {
      await authenticate(authentication, connection, ticket);
      const { local, remote } = connection.addresses;
      if (nat) authentication.setAddresses(DUMMY_ADDRESS, DUMMY_ADDRESS);
      else authentication.setAddresses(hostAddress(local), hostAddress(remote));
      return new Session(connection, authentication, ticket.client);
    } catch (error) {
      authentication.free();
      connection.close();
      throw asFailure(error);
    }
  }

  /**
   * Sends a request and waits for its reply.
   *
   * @param most maximum length of the reply.
   * @throws {AttemptFailure}
   */
  async request(payload: Uint8Array, most: number): Promise<Uint8Array> {
    try {
      this.#send(payload);
      const message = await this.#connection.receiveMessage(most + KRB_PRIV_OVERHEAD);
      return this.#authentication.open(message);
    } catch (error) {
      this.#broken = true;
      if (error instanceof ConnectionFailure) {
        throw new AttemptFailure("STREAM_READ", `${error.message}: ${this.#whyClosed}`);
      }
      if (error instanceof KerberosError) {
        const reason =
          `the daemon's reply can't be opened: ${error.message}; is NAT the same on both sides?`;
        throw new AttemptFailure("STREAM_READ", reason);
      }
      throw error;
    }
  }

  /** Sends a closing message, if the daemon still listens, and closes the connection. */
  close(leave: Uint8Array): void {
    if (!this.#broken) this.#send(leave);
    this.#connection.close();
    this.#authentication.free();
  }

  #send(payload: Uint8Array): void {
    this.#connection.send(frame(this.#authentication.seal(payload)));
  }

  get #whyClosed(): string {
    return `its ACL has no rule for ${this.#client}, or NAT is not the same on both sides`;
  }
}

async function authenticate(
  authentication: ClientAuthentication,
  connection: Connection,
  ticket: Credential,
): Promise<void> {
  connection.send(VERSIONS);
  const [verdict] = await connection.receive(1);
  if (verdict !== 0) {
    const reason = REFUSED_VERSIONS[verdict!] ?? "the server there is not auksd";
    throw new AttemptFailure("STREAM_SENDAUTH", reason);
  }
  connection.send(frame(authentication.request(ticket)));
  const refusal = await connection.receiveMessage(MAX_HANDSHAKE_MESSAGE);
  if (refusal.length > 0) throw refused(explainKrbError(refusal, ticket.server, Date.now()));
  authentication.readReply(await connection.receiveMessage(MAX_HANDSHAKE_MESSAGE));
}

function refused({ reason, isTransient }: KrbErrorExplanation): AttemptFailure {
  return new AttemptFailure("STREAM_SENDAUTH", reason, { isTransient });
}

function asFailure(error: unknown): unknown {
  if (error instanceof ConnectionFailure) {
    return new AttemptFailure("STREAM_SENDAUTH", error.message, { isTransient: true });
  }
  if (error instanceof KerberosError) {
    return new AttemptFailure("STREAM_SENDAUTH", `the daemon can't be trusted: ${error.message}`);
  }
  return error;
}

function hostAddress(bytes: Uint8Array): { type: number; bytes: Uint8Array } {
  return { type: ADDRESS_TYPES[bytes.length]!, bytes };
}

/** A message preceded by its length. */
function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(4 + message.length);
  new DataView(framed.buffer).setUint32(0, message.length);
  framed.set(message, 4);
  return framed;
}
