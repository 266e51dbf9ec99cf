// Complete conversations with auksd as prepared bytes: the client's side does not depend on auksd's answers, so an AP-REQ and
// the following messages can be sent on any number of connections. Works only with ReplayCache = no.
import { type DerNode, formatDer, integerNode, node, TAG } from "../../lib/auks/der.ts";
import type { Credential as TicketContent } from "../../lib/auks/credential.ts";
import { formatKrbCred } from "../../lib/auks/krb_cred_writer.ts";
import { parsePrincipal } from "../../lib/auks/principal.ts";
import { parseReply, type Reply } from "../../lib/auks/reply.ts";
import { formatRequest, type Request } from "../../lib/auks/request.ts";
import { frame } from "../../daemon/auksd/frames.ts";
import { ClientAuthentication, DUMMY_ADDRESS } from "../../lib/krb5/authentication.ts";
import type { Context } from "../../lib/krb5/context.ts";
import { CredentialCache } from "../../lib/krb5/credential_cache.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { serviceTicket } from "../../lib/krb5/tickets.ts";
import { RawConnection } from "./wire.ts";

/** `KRB5_SENDAUTH_V1.0` and `0.1`, each as a message with a NUL. */
export const VERSIONS: Uint8Array = frame(
  new TextEncoder().encode("KRB5_SENDAUTH_V1.0\0"),
  new TextEncoder().encode("0.1\0"),
);

const IPV6_LOOPBACK = { type: 24, bytes: Uint8Array.of(...new Array<number>(15).fill(0), 1) };

/** A client's messages, in order of its writes. */
export interface Conversation {
  readonly versions: Uint8Array;
  readonly apReq: Uint8Array;
  readonly request: Uint8Array;
  readonly close: Uint8Array;
}

/** A client's side, authenticated with the tickets of a cache. */
export class Speaker {
  readonly #context: Context;
  readonly #cache: string;
  readonly #service: string;

  constructor(context: Context, cache: string, service = "host/mngt.realm.a@REALM.A") {
    this.#context = context;
    this.#cache = cache;
    this.#service = service;
  }

  /** A new client with its AP-REQ. */
  begin(): { client: ClientAuthentication; apReq: Uint8Array } {
    using cache = CredentialCache.resolve(this.#context, this.#cache);
    using service = Principal.parse(this.#context, this.#service);
    using ticket = serviceTicket(this.#context, cache, service);
    const client = new ClientAuthentication(this.#context);
    const apReq = frame(client.request(ticket));
    client.setAddresses(DUMMY_ADDRESS, DUMMY_ADDRESS);
    return { client, apReq };
  }

  /** The bytes of a conversation with one request. */
  write(request: Request): Conversation {
    const { client, apReq } = this.begin();
    const seal = (each: Request) => frame(client.seal(formatRequest(each)));
    const sealed = seal(request);
    const close = seal({ type: "close" });
    client.free();
    return { versions: VERSIONS, apReq, request: sealed, close };
  }

  /** Connects, authenticates and sends a request. Returns the reply. */
  async ask(port: number, request: Request, host?: string): Promise<Reply> {
    const { connection, client } = await this.connect(port, host);
    connection.send(frame(client.seal(formatRequest(request))));
    const message = await connection.takeMessage();
    if (message.length === 0) throw new Error("auksd closed the connection");
    const reply = parseReply(client.open(message));
    connection.send(frame(client.seal(formatRequest({ type: "close" }))));
    connection.close();
    client.free();
    return reply;
  }

  /** Connects and authenticates; over IPv6 with real addresses, otherwise with those of NAT = yes. */
  async connect(
    port: number,
    host?: string,
  ): Promise<{ connection: RawConnection; client: ClientAuthentication }> {
    const { client, apReq } = this.begin();
    const connection = await RawConnection.open(port, host);
    connection.send(VERSIONS);
    const verdict = await connection.take(1);
    if (verdict[0] !== 0) throw new Error(`auksd refuses the versions: ${verdict}`);
    connection.send(apReq);
    const refusal = await connection.takeMessage();
    if (refusal.length > 0) throw new Error(`auksd refuses: ${refusal.toHex()}`);
    client.readReply(await connection.takeMessage());
    if (host === "::1") client.setAddresses(IPV6_LOOPBACK, IPV6_LOOPBACK);
    return { connection, client };
  }
}

/** Fields of a fabricated ticket. */
export interface TicketOptions {
  readonly server?: string;
  readonly endtime?: number;
  readonly renewTill?: number;
  readonly ticketLength?: number;
  readonly addresses?: TicketContent["addresses"];
}

/** A KRB-CRED with a fabricated ticket; auksd can't decrypt tickets and need not. */
export function syntheticKrbCred(principal: string, options: TicketOptions = {}): Uint8Array {
  const now = Math.floor(Date.now() / 1000);
  return formatKrbCred({
    credentials: [{
      client: parsePrincipal(principal),
      server: parsePrincipal(options.server ?? "krbtgt/REALM.A@REALM.A"),
      key: { enctype: 18, bytes: crypto.getRandomValues(new Uint8Array(32)) },
      flags: 0x40e1_0000,
      authtime: now,
      starttime: now,
      endtime: options.endtime ?? now + 36_000,
      renewTill: options.renewTill ?? now + 7 * 86_400,
      addresses: options.addresses ?? [],
      ticket: madeUpTicket(options.ticketLength ?? 300),
    }],
    timestamp: now,
    usec: 0,
  });
}

/** A Ticket of REALM.A with random content. */
function madeUpTicket(length: number): Uint8Array {
  const cipher = crypto.getRandomValues(new Uint8Array(length));
  return formatDer(node(
    TAG.application(1),
    node(
      TAG.sequence,
      node(TAG.context(0), integerNode(5)),
      node(TAG.context(1), text("REALM.A")),
      node(
        TAG.context(2),
        node(
          TAG.sequence,
          node(TAG.context(0), integerNode(2)),
          node(TAG.context(1), node(TAG.sequence, text("krbtgt"), text("REALM.A"))),
        ),
      ),
      node(
        TAG.context(3),
        node(
          TAG.sequence,
          node(TAG.context(0), integerNode(18)),
          node(TAG.context(2), node(TAG.octetString, cipher)),
        ),
      ),
    ),
  ));
}

function text(value: string): DerNode {
  return node(TAG.generalString, new TextEncoder().encode(value));
}
