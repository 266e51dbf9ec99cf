// What two mungeds say to each other when one replaces the other: messages of JSON, each a packet, and the version of the
// conversation. Both sides ignore fields that they don't know, so that an upgrade and a downgrade work.
import { systemText } from "../../../lib/os/system_text.ts";

/** The versions of the conversation that this munged can have. */
export const PROTOCOLS = { oldest: 1, newest: 1 } as const;

/** The messages, in their order but for `refused`, which ends the conversation. */
export type Message =
  /** From the new munged: what it is and wants. */
  | {
    readonly kind: "hello";
    readonly oldest: number;
    readonly newest: number;
    readonly version: string;
    readonly socket: string;
  }
  /**
   * From the old one, with the listening socket; `isManagers` says whether that is the service manager's, and
   * `notifySocket` where the manager expects to hear who is the main process.
   */
  | {
    readonly kind: "welcome";
    readonly protocol: number;
    readonly version: string;
    readonly isManagers: boolean;
    readonly notifySocket?: string | undefined;
  }
  /** From either: it goes no further, and the old one keeps serving. */
  | { readonly kind: "refused"; readonly reason: string }
  /** From the new one: it has everything but the replay cache, and asks the old one to serve no more requests. */
  | { readonly kind: "rest" }
  /** From the old one: its journals are complete. `kept` says that it has erased no record since its welcome. */
  | { readonly kind: "resting"; readonly kept?: boolean | undefined }
  /** From the new one: it has read them. */
  | { readonly kind: "ready" }
  /** From the old one: the new one may serve. From here on, the old one only does so again once the new one is gone. */
  | { readonly kind: "go" }
  /** From the new one: it serves, under its own locks and PID file. */
  | { readonly kind: "serving" };

/** A kind of message. */
export type Kind = Message["kind"];
/** The message of a kind. */
export type MessageOf<K extends Kind> = Extract<Message, { kind: K }>;

type FieldType = "number" | "string" | "boolean" | "string, or missing" | "boolean, or missing";

/** The type of each field of each message. */
const FIELDS: Readonly<Record<Kind, Readonly<Record<string, FieldType>>>> = {
  hello: { oldest: "number", newest: "number", version: "string", socket: "string" },
  welcome: {
    protocol: "number",
    version: "string",
    isManagers: "boolean",
    notifySocket: "string, or missing",
  },
  refused: { reason: "string" },
  rest: {},
  resting: { kept: "boolean, or missing" },
  ready: {},
  go: {},
  serving: {},
};

/** The packet of a message. */
export function formatMessage(message: Message): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

/** The message in a packet. @throws {Error} if there is none that we know. */
export function parseMessage(bytes: Uint8Array): Message {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Error(`Received an invalid message: ${systemText(error)}`, { cause: error });
  }
  const message = (typeof found === "object" ? found ?? {} : {}) as Record<string, unknown>;
  const { kind } = message;
  const fields = typeof kind === "string" && Object.hasOwn(FIELDS, kind)
    ? Object.entries(FIELDS[kind as Kind])
    : undefined;
  if (fields === undefined || !fields.every(([name, type]) => isOf(message[name], type))) {
    throw new Error("Received an unknown message");
  }
  return message as Message;
}

function isOf(value: unknown, type: FieldType): boolean {
  const found: string = typeof value;
  const [wanted, ...missing] = type.split(", ");
  return found === wanted || missing.length > 0 && value === undefined;
}

/** The version in which two mungeds can talk, the newest that both know; null if there is none. */
export function commonProtocol(oldest: number, newest: number): number | null {
  const protocol = Math.min(newest, PROTOCOLS.newest);
  return protocol >= Math.max(oldest, PROTOCOLS.oldest) ? protocol : null;
}
