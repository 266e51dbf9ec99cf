// The thread that talks to the other auksd of a pair: it gets tickets with auksd's keytab, authenticates like any
// client, and forwards requests in order over one connection. The KDC and the peer may block it.
import { parentPort, workerData } from "node:worker_threads";
import { parseReply } from "../../lib/auks/reply.ts";
import { formatRequest, type Request } from "../../lib/auks/request.ts";
import { Connection } from "../../lib/auks_client/connection.ts";
import { Session } from "../../lib/auks_client/session.ts";
import { Context } from "../../lib/krb5/context.ts";
import { CredentialCache } from "../../lib/krb5/credential_cache.ts";
import { Keytab } from "../../lib/krb5/keytab.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { initialTicket, serviceTicket } from "../../lib/krb5/tickets.ts";
import { tcpPort } from "../../lib/os/service_port.ts";
import type { PeerSettings, ReplicationOrder, ReplicationReport } from "./replication.ts";

const settings = workerData as PeerSettings;
const CONNECT_MS = 5_000;
const SILENCE_MS = 5_000;
/** How often an idle connection is checked, so that its loss is noticed. */
const PING_MS = 3_000;
/** Pauses between attempts to connect, and before the original's auksd is checked again. */
const RETRY_MS = 1_000;
const FOREIGN_MS = 60_000;
const MAX_REPLY_LENGTH = 1 << 16;
const CLOSE = formatRequest({ type: "close" });
/** A request that no auksd knows: ours gives a reason for refusing it, the original does not. */
const UNKNOWN_REQUEST = Uint8Array.of(0, 0, 0, 99);

const orders: ReplicationOrder[] = [];
let wake: () => void = () => {};

parentPort!.on("message", (order: ReplicationOrder) => {
  orders.push(order);
  wake();
});

function report(message: ReplicationReport): void {
  parentPort!.postMessage(message);
}

const context = Context.open();
void run();

async function run(): Promise<never> {
  for (;;) {
    let pause = RETRY_MS;
    try {
      const session = await open();
      try {
        if (await isOurs(session)) await serve(session);
        pause = FOREIGN_MS;
        report({ state: "foreign", reason: "it is not a mungebox auksd" });
      } finally {
        session.close(CLOSE);
      }
    } catch (error) {
      report({ state: "down", reason: (error as Error).message });
    }
    for (const order of orders.splice(0)) answer(order, "the other auksd is not connected");
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Connects and authenticates, with a fresh ticket. @throws {Error} the reason in one line. */
async function open(): Promise<Session> {
  const { peer, principal, keytab, nat } = settings;
  const port = tcpPort(peer.port);
  if (port === undefined) throw new Error(`unknown port ${peer.port}`);
  const connection = await Connection.open({ host: peer.address, port }, CONNECT_MS, SILENCE_MS);
  try {
    using own = Principal.parse(context, principal);
    using service = Principal.parse(context, peer.principal);
    using keys = Keytab.resolve(context, keytab);
    using tgt = initialTicket(context, own, keys);
    const cache = CredentialCache.unique(context, "MEMORY");
    try {
      cache.initialize(own);
      cache.store(tgt);
      using ticket = serviceTicket(context, cache, service);
      return await Session.open(context, connection, ticket, nat);
    } finally {
      cache.destroy();
    }
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function isOurs(session: Session): Promise<boolean> {
  const reply = parseReply(await session.request(UNKNOWN_REQUEST, MAX_REPLY_LENGTH));
  return reply.type === "error" && reply.reason !== undefined;
}

/** Forwards orders until the connection is lost. */
async function serve(session: Session): Promise<never> {
  report({ state: "up", reason: "" });
  for (;;) {
    const order = orders[0];
    if (order === undefined) {
      await nextOrder();
      if (orders.length === 0) await ask(session, { type: "ping" });
      continue;
    }
    const failure = await ask(session, order.request);
    orders.shift();
    answer(order, failure);
  }
}

function nextOrder(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PING_MS);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** Makes a request. @returns why it was refused, if it was. @throws {AttemptFailure} when the connection is lost. */
async function ask(session: Session, request: Request): Promise<string | undefined> {
  const payload = formatRequest(request);
  try {
    const reply = parseReply(await session.request(payload, MAX_REPLY_LENGTH));
    if (reply.type !== "error" || reply.reason === "notFound") return undefined;
    return reply.text;
  } finally {
    payload.fill(0);
  }
}

function answer({ id, request }: ReplicationOrder, failure: string | undefined): void {
  if (request.type === "add") request.krbCred.fill(0);
  report(failure === undefined ? { id } : { id, failure });
}
