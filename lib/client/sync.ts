// encodeSync() and decodeSync(): the same without promises, in a runtime that can make blocking calls into the system's
// library. That is only Bun, and no other runtime may load its modules.
import { createRequire } from "node:module";
import {
  acceptedIn,
  type AcceptOptions,
  type DecodedAs,
  decodeRequest,
  type FormlessOptions,
} from "./decode.ts";
import { credentialIn, type CredentialOptions, encodeRequest } from "./encode.ts";
import { LibraryError } from "./errors.ts";
import { atSocket } from "../errors.ts";
import type {
  DecodeRequest,
  DecodeResponse,
  EncodeRequest,
  EncodeResponse,
} from "../protocol/message.ts";
import { DEFAULT_SOCKET } from "../paths.ts";
import { withText } from "../protocol/transaction.ts";

/** The blocking client, declared here because its module imports Bun's. */
interface BlockingClient {
  encode(request: EncodeRequest): EncodeResponse;
  decode(request: DecodeRequest): DecodeResponse;
}
interface BlockingClientModule {
  readonly BlockingClient: new (path: string) => BlockingClient;
}

const isBun = "Bun" in globalThis;
/** The client for each socket in use. */
const clients = new Map<string, BlockingClient>();

function clientOf(socketPath: string): BlockingClient {
  let client = clients.get(socketPath);
  if (client === undefined) {
    client = new (blockingClientModule().BlockingClient)(socketPath);
    clients.set(socketPath, client);
  }
  return client;
}

function blockingClientModule(): BlockingClientModule {
  if (!isBun) {
    throw new LibraryError("ERR_SYNC_UNAVAILABLE");
  }
  // Without an extension: the file is .ts here and .js in the npm package. Bundlers don't follow this, so that a bundle for
  // Node.js never contains a module of Bun's.
  return createRequire(import.meta.url)("./blocking_client") as BlockingClientModule;
}

/**
 * {@linkcode encode} without a promise: the thread waits for munged. Only in Bun.
 *
 * @param payload bytes, or a string, which is encoded as UTF-8.
 * @param options properties of the credential.
 * @returns the credential.
 * @throws {MungeError} as {@linkcode encode} does; `ERR_SYNC_UNAVAILABLE` in a runtime other than Bun.
 *
 * @example
 * ```ts
 * import { decodeSync, encodeSync } from "mungebox";
 *
 * if ("Bun" in globalThis) {
 *   console.log(decodeSync(encodeSync("hello"), { as: "text" }).payload);
 * }
 * ```
 */
export function encodeSync(
  payload: string | Uint8Array = "",
  options: CredentialOptions = {},
): string {
  const { socketPath = DEFAULT_SOCKET } = options;
  const request = encodeRequest(payload, options);
  return blocking(
    socketPath,
    (client) => credentialIn(withText(client.encode(request)), socketPath),
  );
}

/**
 * {@linkcode decode} without a promise: the thread waits for munged. Only in Bun.
 *
 * @param credential the credential.
 * @param options what to accept.
 * @returns who made it, the payload, and everything else in it.
 * @throws {MungeError} as {@linkcode decode} does; `ERR_SYNC_UNAVAILABLE` in a runtime other than Bun.
 *
 * @example
 * ```ts
 * import { decodeSync, encode, MungeError } from "mungebox";
 *
 * const credential = await encode();
 * try {
 *   console.log(decodeSync(credential).uid);
 * } catch (error) {
 *   if (!(error instanceof MungeError)) throw error;
 *   // In Deno and Node.js:
 *   console.log(error.message);
 * }
 * ```
 */
export function decodeSync<const Options extends AcceptOptions = FormlessOptions>(
  credential: string | Uint8Array,
  options?: Options,
): DecodedAs<Options> {
  const { socketPath = DEFAULT_SOCKET } = options ?? {};
  const request = decodeRequest(credential);
  return blocking(
    socketPath,
    (client) => acceptedIn(client.decode(request), socketPath, options),
  );
}

function blocking<T>(socketPath: string, call: (client: BlockingClient) => T): T {
  try {
    return call(clientOf(socketPath));
  } catch (error) {
    throw atSocket(error, socketPath);
  }
}
