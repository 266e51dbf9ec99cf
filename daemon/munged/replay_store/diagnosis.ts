// Why a server can't be reached, in words for the log and the doctor. The runtime's client says only that the connection
// was closed.
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { systemText } from "../../../lib/os/system_text.ts";
import type { StoreAddress } from "../config.ts";
import type { Access } from "./access.ts";

/** Longest answer to read. */
const MAX_ANSWER = 1024;

/**
 * Connects and logs in once more, and reports what fails.
 *
 * @param timeout maximum milliseconds for that.
 */
export async function diagnose(
  { host, port }: StoreAddress,
  access: Access,
  timeout: number,
): Promise<string> {
  const { promise, resolve: found } = Promise.withResolvers<string>();
  const timer = setTimeout(() => found("No answer in time"), timeout);
  const socket: Socket = access.tls === null ? connectTcp({ host, port }) : connectTls({
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}), // a name for SNI
    ...(access.tls.ca === undefined ? {} : { ca: access.tls.ca }),
  });
  let answer = "";
  socket.once(access.tls === null ? "connect" : "secureConnect", () => {
    if (access.password !== "") {
      const login = access.user === "" ? [access.password] : [access.user, access.password];
      socket.write(formatCommand(["AUTH", ...login]));
    }
    socket.write(formatCommand(["PING"]));
  });
  socket.on("data", (bytes) => {
    answer += bytes.toString("latin1").slice(0, MAX_ANSWER);
    const refusal = /^-([^\r\n]*)\r\n/m.exec(answer)?.[1];
    if (refusal !== undefined) found(withoutPassword(refusal, access));
    else if (answer.includes("+PONG\r\n")) found("Connection closed");
  });
  // TLS errors are not system errors: only their message says what is wrong.
  socket.once("error", (error: NodeJS.ErrnoException) => {
    found(error.syscall === undefined ? error.message : systemText(error));
  });
  socket.once("close", () => found("Connection closed"));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** A refusal without the parts of the command it repeats: the password must not get into the log. */
function withoutPassword(refusal: string, { password }: Access): string {
  const text = refusal.replace(/,? with args beginning with:.*/, "");
  return password === "" ? text : text.replaceAll(password, "...");
}

/** A command in the store's protocol (RESP). */
function formatCommand(words: readonly string[]): string {
  return [`*${words.length}`, ...words.flatMap((word) => [`$${Buffer.byteLength(word)}`, word]), ""]
    .join("\r\n");
}
