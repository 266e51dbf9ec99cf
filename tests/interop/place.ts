// A directory for our mungeds of one socket, which replace or succeed each other there.
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Realm } from "../harness/realm.ts";

/** The directory, with the names of the files that munged makes in it. */
export interface Place {
  readonly base: string;
  readonly socket: string;
  readonly log: string;
  /** munged's options. */
  readonly args: readonly string[];
}

/** Makes a directory that all users may enter, for mungeds of a realm. */
export function makePlace(realm: Realm, name: string): Place {
  const base = join(realm.directory, name);
  mkdirSync(base);
  chmodSync(base, 0o755);
  const file = (what: string) => `--${what}-file=${join(base, what)}`;
  const socket = join(base, "socket");
  const key = `--key-file=${join(realm.directory, "key")}`;
  const files = [key, `--config=${realm.configFile}`, file("pid"), file("seed"), file("log")];
  const args = [`--socket=${socket}`, ...files, "--origin=127.0.0.1"];
  return { base, socket, log: join(base, "log"), args };
}

/** The process ID in munged's PID file. */
export function pidIn({ base }: Place): number {
  return Number(readFileSync(join(base, "pid"), "utf8"));
}
