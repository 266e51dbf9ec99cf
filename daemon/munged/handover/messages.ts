// The protocol between a running munged and the one that replaces it: messages in JSON, one in each packet, and its
// versions. Both sides ignore fields that they don't know, so that upgrades and downgrades work.
import { systemText } from "../../../lib/os/system_text.ts";

/** The protocol versions that this munged supports. */
export const PROTOCOLS = { oldest: 1, newest: 1 } as const;

/** The messages in order, except `refused`, which can come at any time and ends the conversation. */
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
   * From the old one, with the listening socket. `isManagers` says whether that is the service manager's; the manager
   * expects to be told on `notifySocket` which process is the main one.
   */
  | {
    readonly kind: "welcome";
    readonly protocol: number;
    readonly version: string;
    readonly isManagers: boolean;
    readonly notifySocket?: string | undefined;
  }
  /** From either: it gives up, and the old one keeps serving. */
  | { readonly kind: "refused"; readonly reason: string }
  /** From the new one: it has everything but the replay cache, and asks the old one to stop serving. */
  | { readonly kind: "rest" }
  /** From the old one: its journals are complete. `kept` says that it has erased no record since its welcome. */
  | { readonly kind: "resting"; readonly kept?: boolean | undefined }
  /** From the new one: it has read them. */
  | { readonly kind: "ready" }
  /** From the old one: the new one may serve. From now on, the old one resumes only once the new one is gone. */
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

/** The message in a packet. @throws {Error} if it is invalid or unknown. */
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
  if (fields === undefined || !fields.every(([name, type]) => hasType(message[name], type))) {
    throw new Error("Received an unknown message");
  }
  return message as Message;
}

function hasType(value: unknown, type: FieldType): boolean {
  const found: string = typeof value;
  const [wanted, ...missing] = type.split(", ");
  return found === wanted || missing.length > 0 && value === undefined;
}

/** The newest protocol version that both mungeds support; null if there is none. */
export function commonProtocol(oldest: number, newest: number): number | null {
  const protocol = Math.min(newest, PROTOCOLS.newest);
  return protocol >= Math.max(oldest, PROTOCOLS.oldest) ? protocol : null;
}
