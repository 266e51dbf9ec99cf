// Reads the recorded reference of the real programs for the tests.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Credential } from "../../../lib/auks/credential.ts";
import { formatPrincipal } from "../../../lib/auks/principal.ts";

const FOLDER = join(import.meta.dirname, "../../auks/reference");

/** Long payloads are lists of base64 strings and [count, byte] runs. */
type Plain = string | readonly (string | readonly [count: number, byte: number])[];

/** A KRB-PRIV of a transcript, decrypted. */
export interface Priv {
  readonly from: "client" | "server";
  readonly plain: Plain;
  readonly meaning: Readonly<Record<string, unknown>> & {
    readonly type: number;
    readonly name: string;
    readonly krbcred?: string;
    readonly credentials?: readonly RecordedCredential[];
  };
}

/** A credential as described in the reference. */
export interface RecordedCredential {
  readonly client: string;
  readonly server: string;
  readonly key_enctype: number;
  readonly key: string;
  readonly flags: string;
  readonly authtime: number;
  readonly starttime: number;
  readonly endtime: number;
  readonly renew_till: number;
  readonly addresses: readonly { readonly type: number; readonly base64: string }[];
  readonly ticket_length: number;
  readonly second_ticket_length?: number;
}

/** The bytes of a file below files/. */
export function referenceFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER, "files", name)));
}

/** The entry of each file in files.json. */
export function describedFiles<T>(): Record<string, T> {
  return JSON.parse(readFileSync(join(FOLDER, "files/files.json"), "utf8"));
}

/** The decrypted messages of all transcripts with any. */
export function transcripts(): { name: string; dialect: string; priv: readonly Priv[] }[] {
  return readdirSync(join(FOLDER, "transcripts")).flatMap((name) => {
    const { dialect, decrypted } = JSON.parse(
      readFileSync(join(FOLDER, "transcripts", name), "utf8"),
    );
    const priv = (decrypted?.priv ?? []).filter((each: Partial<Priv>) => each.plain !== undefined);
    return priv.length === 0 ? [] : [{ name, dialect, priv }];
  });
}

/** The bytes of a decrypted message. */
export function plainBytes(plain: Plain): Uint8Array {
  const parts = typeof plain === "string" ? [plain] : plain;
  return new Uint8Array(
    Buffer.concat(
      parts.map((part) =>
        typeof part === "string" ? Buffer.from(part, "base64") : Buffer.alloc(part[0], part[1])
      ),
    ),
  );
}

/** A credential as described in the reference. */
export function describeCredential(credential: Credential): RecordedCredential {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  return {
    client: formatPrincipal(credential.client),
    server: formatPrincipal(credential.server),
    key_enctype: credential.key.enctype,
    key: base64(credential.key.bytes),
    flags: `0x${credential.flags.toString(16).padStart(8, "0")}`,
    authtime: credential.authtime,
    starttime: credential.starttime,
    endtime: credential.endtime,
    renew_till: credential.renewTill,
    addresses: credential.addresses.map(({ type, bytes }) => ({ type, base64: base64(bytes) })),
    ticket_length: credential.ticket.length,
  };
}
