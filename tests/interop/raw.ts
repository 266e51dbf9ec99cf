// The protocol by hand, for messages that no client would send: sends bytes and returns the answer's bytes.
import { connect } from "node:net";
import {
  type DecodeRequest,
  type DecodeResponse,
  type EncodeRequest,
  type EncodeResponse,
  formatDecodeRequest,
  formatEncodeRequest,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseDecodeResponse,
  parseEncodeResponse,
  parseHeader,
} from "../../lib/protocol/message.ts";

/**
 * Sends these bytes and signals the end, so that munged does not wait for the rest of an incomplete message.
 *
 * @returns everything received until the daemon hung up.
 */
export function exchange(socketPath: string, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    socket.on("data", (piece) => pieces.push(piece));
    socket.on("error", () => {}); // the daemon may hang up before it has read everything; "close" follows
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(Buffer.concat(pieces)));
    socket.end(message);
  });
}

/** A parsed answer. */
export type RawAnswer =
  | { readonly retry: number } & EncodeResponse
  | { readonly retry: number } & DecodeResponse;

/** Sends these bytes. Returns the answer, or null if the daemon hung up without one. */
export async function exchangeRaw(
  socketPath: string,
  message: Uint8Array,
): Promise<RawAnswer | null> {
  const bytes = await exchange(socketPath, message);
  if (bytes.length === 0) return null;
  const { type, retry, length } = parseHeader(bytes);
  const body = bytes.subarray(HEADER_LENGTH);
  if (body.length !== length) throw new Error(`${body.length} bytes instead of ${length}`);
  if (type === MESSAGE_TYPE.encodeResponse) return { retry, ...parseEncodeResponse(body) };
  if (type === MESSAGE_TYPE.decodeResponse) return { retry, ...parseDecodeResponse(body) };
  throw new Error(`An answer of type ${type}`);
}

/** Requests a credential. */
export async function rawEncode(
  socketPath: string,
  request: EncodeRequest,
  retry = 0,
): Promise<EncodeResponse> {
  return await exchangeRaw(socketPath, formatEncodeRequest(request, retry)) as EncodeResponse;
}

/** Opens a credential. */
export async function rawDecode(
  socketPath: string,
  request: DecodeRequest,
  retry = 0,
): Promise<DecodeResponse> {
  return await exchangeRaw(socketPath, formatDecodeRequest(request, retry)) as DecodeResponse;
}
