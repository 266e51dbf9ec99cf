// One client's connection: version exchange, authentication, then its requests one after another (libkrb5's sendauth and
// KRB-PRIV messages). Sockets and clocks belong to the server.
import { plainAddress } from "../../lib/bytes/host_address.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { MAX_REQUEST_LENGTH } from "../../lib/auks/request.ts";
import { MAX_PRINCIPAL_LENGTH } from "../../lib/auks/principal.ts";
import { KerberosError } from "../../lib/krb5/context.ts";
import type { Authenticator } from "./authenticator.ts";
import { frame, frameInPlace, FrameReader, FrameTooLong } from "./frames.ts";
import type { ReplyTurns } from "./reply_turns.ts";
import type { Answer, LargeAnswer } from "./requests.ts";
import { type Endpoints, Session } from "./session.ts";

const SENDAUTH_VERSION = new TextEncoder().encode("KRB5_SENDAUTH_V1.0\0");
const APPLICATION_VERSION = new TextEncoder().encode("0.1\0");
const VERDICT = { fine: 0, wrongSendauth: 1, wrongApplication: 2 } as const;
/** A version has 19 bytes; a wrong one may be slightly longer. */
const MAX_VERSION_LENGTH = 1024;
/** An AP-REQ with the largest PAC that Active Directory puts into a ticket, plus reserve. */
const MAX_AP_REQ_LENGTH = 128 * 1024;
/** Maximum overhead of encryption and addresses. */
const KRB_PRIV_OVERHEAD = 512;
const MAX_PRIV_LENGTH = MAX_REQUEST_LENGTH + KRB_PRIV_OVERHEAD;
/** Bytes of requests that may wait while one is being answered; the rest stays in the socket. */
const MAX_WAITING_BYTES = MAX_PRIV_LENGTH * 2;

/** What a connection needs from the server. */
export interface ConnectionHost {
  /** The authenticator in force. */
  readonly authenticator: Authenticator;
  /** Which addresses to expect first in KRB-PRIV messages; the client's messages decide. */
  readonly nat: boolean;
  /** Whose turn it is to get a large reply. */
  readonly turns: ReplyTurns;
  /** Answers an authenticated client's request; undefined if the client has no role. */
  answer(
    payload: Uint8Array,
    principal: string,
    connection: Connection,
  ): Answer | Promise<Answer> | LargeAnswer | undefined;
  /** Whether a client has a role. */
  admits(principal: string, connection: Connection): boolean;
  /** Logs a failed connection. */
  failed(connection: Connection, event: ConnectionFailure): void;
}

/** Failures outside of requests. */
export type ConnectionFailure =
  | { readonly kind: "authentication"; readonly reason: string; readonly code?: number }
  | { readonly kind: "principal" }
  | { readonly kind: "denied"; readonly principal: string }
  | { readonly kind: "reception"; readonly error: AuksError }
  | { readonly kind: "timeout"; readonly seconds: number }
  | { readonly kind: "bug"; readonly error: unknown };

/** The socket's side of a connection. */
export interface Wire {
  /** Whether the client has not yet read what was sent; until then, its requests wait. */
  readonly isFull: boolean;
  /**
   * Sends bytes and takes ownership of them; wipes them once they are sent or the client is gone.
   *
   * @param done for a large reply; called after wiping.
   */
  send(bytes: Uint8Array, done?: () => void): void;
  /** Closes once everything is sent. */
  end(): void;
  /** Stops or resumes reading from the network. */
  pause(): void;
  resume(): void;
  /** Calls {@linkcode Connection.takeTurn} once other clients have had their turn. */
  awaitTurn(): void;
}

type Phase = "sendauth version" | "application version" | "AP-REQ" | "requests" | "closed";

/** One connection. */
export class Connection {
  /** The client's address, 4 or 16 bytes. */
  readonly remote: Uint8Array;
  readonly remoteText: string;
  readonly #endpoints: Endpoints;
  readonly #host: ConnectionHost;
  readonly #wire: Wire;
  readonly #reader = new FrameReader();
  #phase: Phase = "sendauth version";
  #verdict: number = VERDICT.fine;
  /** From its authentication to its end. */
  #session: Session | undefined;
  #isAnswering = false;
  /** Whether more requests have arrived, and wait until other clients have had their turn. */
  #awaitsTurn = false;
  /** Whether the client will send nothing more. */
  #isFinished = false;

  constructor(
    host: ConnectionHost,
    wire: Wire,
    local: Uint8Array,
    remote: Uint8Array,
    remoteText: string,
  ) {
    this.#host = host;
    this.#wire = wire;
    this.#endpoints = { local, remote };
    this.remote = plainAddress(remote);
    this.remoteText = remoteText;
  }

  /** Whether a time limit applies to the client's next message. */
  get isDue(): boolean {
    return this.#phase !== "requests" ||
      (this.#reader.isPending && !this.#isAnswering && !this.#awaitsTurn);
  }

  /** Whether the client is authenticated. */
  get isAuthenticated(): boolean {
    return this.#session !== undefined;
  }

  /** Whether a request is being answered. */
  get isAnswering(): boolean {
    return this.#isAnswering;
  }

  /** Bytes of memory for incomplete or waiting messages. */
  get heldBytes(): number {
    return this.#reader.heldBytes;
  }

  /** Handles the client's bytes. @throws {unknown} only for our own bugs; then close the connection. */
  receive(bytes: Uint8Array): void {
    if (this.#phase === "closed") return;
    this.#reader.push(bytes);
    if (!this.#canProceed) {
      if (this.#reader.pendingBytes > MAX_WAITING_BYTES) this.#wire.pause();
      return;
    }
    this.#proceed();
  }

  /** The client has read everything that was sent. @throws {unknown} as {@linkcode receive}. */
  drained(): void {
    if (this.#phase === "closed" || this.#isAnswering) return;
    this.#resumeReading();
    this.#proceed();
  }

  /** Continues with the next request. @throws {unknown} as {@linkcode receive}. */
  takeTurn(): void {
    this.#awaitsTurn = false;
    this.drained();
  }

  /** Reads more from the client, unless enough of it waits already. */
  #resumeReading(): void {
    if (this.#reader.pendingBytes <= MAX_WAITING_BYTES) this.#wire.resume();
  }

  /** The client will send nothing more; its connection ends with the answers to what it has sent. */
  finished(): void {
    this.#isFinished = true;
    this.#endIfFinished();
  }

  /** The client disconnected without a CLOSE. */
  disconnected(): void {
    if (!this.#isAnswering) this.#reportLoss();
    this.close();
  }

  #reportLoss(): void {
    if (this.#phase !== "requests") return;
    this.#host.failed(this, { kind: "reception", error: new AuksError("STREAM_READ") });
  }

  /** Ends it, whatever is in progress. */
  close(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#reader.clear();
    if (!this.#isAnswering) this.#release();
  }

  get #canProceed(): boolean {
    return this.#phase !== "closed" && !this.#isAnswering && !this.#awaitsTurn &&
      !this.#wire.isFull;
  }

  #proceed(): void {
    try {
      while (this.#canProceed && this.#step()) this.#yield();
    } catch (error) {
      if (error instanceof FrameTooLong) this.#giveUp("STREAM_TOO_LARGE", error.message);
      else throw error;
    }
    this.#endIfFinished();
  }

  /** Lets other clients have their turn before the next request: one that sends many at once must not keep them waiting. */
  #yield(): void {
    if (this.#phase !== "requests" || !this.#reader.isPending || !this.#canProceed) return;
    this.#awaitsTurn = true;
    this.#wire.awaitTurn();
  }

  #endIfFinished(): void {
    if (!this.#isFinished || !this.#canProceed) return;
    this.#reportLoss();
    this.#end();
  }

  /** Processes the next message; false if there is none yet. */
  #step(): boolean {
    switch (this.#phase) {
      case "sendauth version": {
        const version = this.#reader.take(MAX_VERSION_LENGTH);
        if (version === undefined) return false;
        if (!sameBytes(version, SENDAUTH_VERSION)) this.#verdict = VERDICT.wrongSendauth;
        this.#phase = "application version";
        return true;
      }
      case "application version": {
        const version = this.#reader.take(MAX_VERSION_LENGTH);
        if (version === undefined) return false;
        if (this.#verdict === VERDICT.fine && !sameBytes(version, APPLICATION_VERSION)) {
          this.#verdict = VERDICT.wrongApplication;
        }
        this.#wire.send(Uint8Array.of(this.#verdict));
        if (this.#verdict !== VERDICT.fine) {
          this.#refuse({
            kind: "authentication",
            reason: this.#verdict === VERDICT.wrongSendauth
              ? "it speaks another protocol, or another version of sendauth"
              : "it does not speak AUKS's protocol",
          });
        } else this.#phase = "AP-REQ";
        return true;
      }
      case "AP-REQ": {
        const request = this.#reader.take(MAX_AP_REQ_LENGTH);
        if (request === undefined) return false;
        this.#authenticate(request);
        return true;
      }
      case "requests": {
        const message = this.#reader.take(MAX_PRIV_LENGTH);
        if (message === undefined) return false;
        this.#serve(message);
        return true;
      }
      case "closed":
        return false;
    }
  }

  #authenticate(request: Uint8Array): void {
    const { authenticator, nat } = this.#host;
    let session: Session;
    try {
      session = Session.accept(authenticator, request, this.#endpoints, nat);
    } catch (error) {
      if (!(error instanceof KerberosError)) throw error;
      this.#wire.send(frame(authenticator.refusal(error)));
      this.#refuse({
        kind: "authentication",
        reason: error.message,
        ...(error.protocolCode === undefined ? {} : { code: error.protocolCode }),
      });
      return;
    }
    this.#session = session;
    const { principal } = session;
    const nothing = new Uint8Array(0);
    const reply = session.reply();
    // In one write; as two, the second would wait for the client's delayed acknowledgement.
    this.#wire.send(reply === undefined ? frame(nothing) : frame(nothing, reply));
    if (new TextEncoder().encode(principal).length > MAX_PRINCIPAL_LENGTH) {
      this.#refuse({ kind: "principal" });
    } else if (!this.#host.admits(principal, this)) {
      this.#refuse({ kind: "denied", principal });
    } else this.#phase = "requests";
  }

  #serve(message: Uint8Array): void {
    const payload = this.#open(message);
    if (payload === undefined) return;
    const answer = this.#host.answer(payload, this.#session!.principal, this);
    if (typeof answer === "function") this.#replyInTurn(payload, answer);
    else if (answer instanceof Promise) this.#replyLater(payload, answer);
    else this.#reply(payload, answer ?? null);
  }

  #replyInTurn(payload: Uint8Array, make: LargeAnswer): void {
    let endTurn = () => {};
    const answer = this.#host.turns.take().then((end) => {
      endTurn = end;
      return this.#phase === "closed" ? null : make();
    });
    this.#replyLater(payload, answer, () => endTurn());
  }

  /** @param done for a large reply; called once it has been sent, or never will be. */
  #replyLater(payload: Uint8Array, answer: Promise<Answer>, done?: () => void): void {
    this.#isAnswering = true;
    const failed = (error: unknown) => {
      this.#host.failed(this, { kind: "bug", error });
      return null;
    };
    void answer.catch(failed).then((reply) => this.#answered(payload, reply, done))
      .catch((error) => {
        failed(error);
        done?.();
        this.#end();
      });
  }

  #answered(payload: Uint8Array, answer: Answer, done?: () => void): void {
    this.#isAnswering = false;
    if (this.#phase === "closed") {
      payload.fill(0);
      answer?.fill(0);
      done?.();
      this.#release();
      return;
    }
    this.#reply(payload, answer, done);
    this.#resumeReading();
    this.#proceed();
  }

  #reply(payload: Uint8Array, answer: Answer, done?: () => void): void {
    payload.fill(0);
    if (answer === null) {
      done?.();
      this.#end();
      return;
    }
    const sealed = this.#session!.seal(answer);
    answer.fill(0);
    this.#wire.send(frameInPlace(sealed), done);
  }

  /** The contents of a KRB-PRIV; undefined for an invalid one, which ends the connection. */
  #open(message: Uint8Array): Uint8Array | undefined {
    try {
      return this.#session!.open(message);
    } catch (error) {
      if (!(error instanceof KerberosError)) throw error;
      this.#giveUp("STREAM_DECRYPT", error.message);
      return undefined;
    }
  }

  #refuse(event: ConnectionFailure): void {
    this.#host.failed(this, event);
    this.#end();
  }

  #giveUp(error: "STREAM_DECRYPT" | "STREAM_TOO_LARGE", reason: string): void {
    this.#refuse({ kind: "reception", error: new AuksError(error, reason) });
  }

  #end(): void {
    this.#phase = "closed";
    this.#reader.clear();
    this.#release();
    this.#wire.end();
  }

  #release(): void {
    this.#session?.release();
    this.#session = undefined;
  }
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
