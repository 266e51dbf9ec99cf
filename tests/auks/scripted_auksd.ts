// A scripted auksd in the tests' process: it authenticates clients like the original, and a script answers their
// requests, so that it can imitate any daemon, dialects and faults included.
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { DUMMY_ADDRESS, ReplayCache, ServerAuthentication } from "../../lib/krb5/authentication.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { Keytab } from "../../lib/krb5/keytab.ts";
import { Principal } from "../../lib/krb5/principal.ts";

/** Answers a request: with a reply, or by closing the connection. */
export type Script = (request: Uint8Array, client: string) => Uint8Array | "close" | "silence";

/** The script. */
export interface ScriptedOptions {
  readonly keytab: string;
  readonly principal?: string;
  readonly nat?: boolean;
  /** Whether to close the connection after AP-REP, as for a client that no rule admits. */
  readonly closesAfterAuthentication?: boolean;
  /** Sent instead of everything else, to imitate a service that is not auksd. */
  readonly greeting?: Uint8Array;
}

/** A running daemon. */
export class ScriptedAuksd {
  /** The number of connections so far. */
  connections = 0;
  readonly #server: Server;

  private constructor(script: Script, options: ScriptedOptions) {
    this.#server = createServer((socket) => {
      this.connections++;
      socket.on("error", () => {});
      void serve(socket, script, options).catch((error) => {
        if (!(error instanceof Closed)) throw error;
      });
    });
  }

  /** Starts listening on a port of loopback. */
  static async start(script: Script, options: ScriptedOptions): Promise<ScriptedAuksd> {
    const daemon = new ScriptedAuksd(script, options);
    await new Promise<void>((resolve) => daemon.#server.listen(0, "127.0.0.1", resolve));
    return daemon;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
  }
}

class Closed extends Error {}

async function serve(socket: Socket, script: Script, options: ScriptedOptions): Promise<void> {
  const { keytab, principal = "host/mngt.realm.a@REALM.A", nat = true } = options;
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let buffered = new Uint8Array(0);
  const take = async (length: number) => {
    while (buffered.length < length) {
      const { value, done } = await chunks.next();
      if (done === true) throw new Closed();
      buffered = Buffer.concat([buffered, value]);
    }
    const taken = buffered.slice(0, length);
    buffered = buffered.slice(length);
    return taken;
  };
  const message = async () => await take(new DataView((await take(4)).buffer).getUint32(0));
  await take(31);
  if (options.greeting !== undefined) {
    socket.end(options.greeting);
    return;
  }
  socket.write(Uint8Array.of(0));
  const request = await message();
  using context = Context.open();
  using keys = Keytab.resolve(context, keytab);
  using server = Principal.parse(context, principal);
  const authentication = accept(context, request, server, keys);
  if (typeof authentication === "number") {
    socket.end(framed(krbError(authentication)));
    return;
  }
  socket.write(Buffer.concat([framed(new Uint8Array(0)), framed(authentication.reply())]));
  if (options.closesAfterAuthentication === true) {
    socket.end();
    return;
  }
  const v4 = (text: string) => ({ type: 2, bytes: Uint8Array.from(text.split("."), Number) });
  if (nat) authentication.setAddresses(DUMMY_ADDRESS, DUMMY_ADDRESS);
  else authentication.setAddresses(v4(socket.localAddress!), v4(socket.remoteAddress!));
  for (;;) {
    let payload: Uint8Array;
    try {
      payload = authentication.open(await message());
    } catch (error) {
      socket.end();
      if (error instanceof KerberosError) return;
      throw error;
    }
    if (payload[3] === 5) return; // CLOSE
    const reply = script(payload, authentication.client);
    if (reply === "close") {
      socket.end();
      return;
    }
    if (reply !== "silence") socket.write(framed(authentication.seal(reply)));
  }
}

function accept(context: Context, request: Uint8Array, server: Principal, keytab: Keytab) {
  try {
    const replayCache = new ReplayCache(context, "none:");
    return ServerAuthentication.accept(context, request, server, keytab, replayCache);
  } catch (error) {
    if (error instanceof KerberosError) return error.protocolCode ?? 60;
    throw error;
  }
}

function framed(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(4 + bytes.length);
  new DataView(whole.buffer).setUint32(0, bytes.length);
  whole.set(bytes, 4);
  return whole;
}

/** A KRB-ERROR with a code, dated 2026. */
export function krbError(code: number, time = "20261126103731Z"): Uint8Array {
  const der = (tag: number, ...parts: (number[] | Uint8Array)[]): number[] => {
    const content = parts.flatMap((part) => [...part]);
    return [tag, ...content.length < 128 ? [content.length] : [0x81, content.length], ...content];
  };
  const string = (text: string) => der(0x1b, new TextEncoder().encode(text));
  const integer = (value: number) => der(2, [value]);
  return Uint8Array.from(der(
    0x7e,
    der(
      0x30,
      der(0xa0, integer(5)),
      der(0xa1, integer(30)),
      der(0xa4, der(0x18, new TextEncoder().encode(time))),
      der(0xa5, integer(1)),
      der(0xa6, integer(code)),
      der(0xa9, string("REALM.A")),
      der(0xaa, der(0x30, der(0xa0, integer(1)), der(0xa1, der(0x30, string("host"))))),
      der(0xab, string(`error ${code}\0`)),
    ),
  ));
}
