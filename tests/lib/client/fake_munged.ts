// Sockets for the tests of the asynchronous client: with servers in munged's place that answer as a test wants, and without.
import { renameSync } from "node:fs";
import { createServer, type ServerOpts, type Socket } from "node:net";
import { join } from "node:path";
import {
  formatEncodeResponse,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseHeader,
} from "../../../lib/protocol/message.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { encodeRequest } from "../../requests.ts";

/** A request to encode a short payload. */
export const REQUEST = encodeRequest({ payload: new Uint8Array([1, 2, 3]) });
/** What a server gives for a credential. */
export const CREDENTIAL = new TextEncoder().encode("MUNGE:x:");
/** The response to {@linkcode REQUEST}. */
export const ANSWER = formatEncodeResponse({ errno: 0, errorText: "", credential: CREDENTIAL }, 0);

/** The answer with its bytes from `at` replaced. */
export function answerWith(at: number, ...bytes: number[]): Uint8Array {
  const answer = ANSWER.slice();
  answer.set(bytes, at);
  return answer;
}

/** A request as a server got it, the only one on its connection. */
export interface Received {
  readonly retry: number;
  readonly message: Uint8Array;
}

/**
 * Runs `use` with the path of a socket, while `serve` handles its connections. Afterwards nothing is left of either.
 *
 * @param options of the server.
 */
export async function withSocket(
  serve: (socket: Socket) => void,
  use: (path: string) => Promise<void>,
  options: ServerOpts = {},
): Promise<void> {
  await withDirectory(async (folder) => {
    const path = join(folder, "socket");
    const sockets = new Set<Socket>();
    const server = createServer(options, (socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      serve(socket);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      await use(path);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

/**
 * Runs `use` with a server that calls `answer` for each complete request and keeps the requests in `received`. As the C
 * munged, it hangs up on a client that asks to keep the connection.
 */
export async function withServer(
  answer: (socket: Socket, received: readonly Received[]) => void,
  use: (path: string, received: readonly Received[]) => Promise<void>,
): Promise<void> {
  const received: Received[] = [];
  const serve = (socket: Socket) => {
    let bytes = Buffer.alloc(0);
    socket.on("data", (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      if (bytes.length < HEADER_LENGTH) return;
      const { type, length, retry } = parseHeader(bytes);
      if (bytes.length < HEADER_LENGTH + length) return;
      if (type === MESSAGE_TYPE.keepRequest) {
        socket.destroy();
        return;
      }
      received.push({ retry, message: bytes });
      answer(socket, received);
    });
  };
  await withSocket(serve, (path) => use(path, received));
}

/** The retry bytes of requests. */
export const retriesOf = (received: readonly Received[]): number[] =>
  received.map(({ retry }) => retry);

/** Leaves a socket at `path` without a listener. */
export async function leaveSocket(path: string): Promise<void> {
  await withDirectory(async (folder) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, "socket"), resolve));
    renameSync(join(folder, "socket"), path);
    await new Promise((resolve) => server.close(resolve));
  });
}
