// The libmunge client of these tests, libmunge_probe.c: many requests in one run, as any user.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Realm } from "../harness/realm.ts";

/** Compiles the libmunge client in this folder. Returns its path. */
export function compileProbe(realm: Realm): string {
  const probe = join(realm.directory, "libmunge_probe");
  const source = join(import.meta.dirname, "libmunge_probe.c");
  const flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"];
  const { status, stderr } = spawnSync("cc", [...flags, "-o", probe, source, "-lmunge"]);
  assert.equal(status, 0, stderr?.toString());
  return probe;
}

/** A request to the libmunge client to encode. */
export interface ProbeEncode {
  readonly cipher: number;
  readonly mac: number;
  readonly zip: number;
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  readonly length: number;
}

/** The answer to an encode: a credential, or the error's text. */
export interface ProbeEncoded {
  readonly errno: number;
  readonly text: string;
}

/** The answer to a decode. */
export interface ProbeDecoded {
  readonly errno: number;
  readonly cipher: number;
  readonly mac: number;
  readonly zip: number;
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  readonly uidRestriction: number;
  readonly gidRestriction: number;
  readonly address: string;
  readonly length: number;
  /** Whether the payload came back unchanged. */
  readonly matches: boolean;
  readonly text: string;
}

/** Runs the libmunge client with many requests. Returns one answer per request. */
function ask(
  probe: string,
  socket: string,
  requests: readonly string[],
  user: { uid?: number; gid?: number },
): string[] {
  const { status, stdout, stderr } = spawnSync(probe, [socket], {
    input: requests.map((request) => `${request}\n`).join(""),
    maxBuffer: 2 ** 29,
    timeout: 300_000,
    cwd: "/",
    ...user,
  });
  assert.equal(status, 0, stderr?.toString());
  const answers = stdout.toString("latin1").split("\n").slice(0, -1);
  assert.equal(answers.length, requests.length);
  return answers;
}

/** Requests credentials through libmunge, as a user with these IDs. */
export function probeEncode(
  probe: string,
  socket: string,
  requests: readonly ProbeEncode[],
  user: { uid?: number; gid?: number } = {},
): ProbeEncoded[] {
  const lines = requests.map(({ cipher, mac, zip, ttl, uid, gid, length }) =>
    `encode ${cipher} ${mac} ${zip} ${ttl} ${uid} ${gid} ${length}`
  );
  return ask(probe, socket, lines, user).map((answer) => {
    const at = answer.indexOf(" ");
    return { errno: Number(answer.slice(0, at)), text: answer.slice(at + 1) };
  });
}

/** Opens credentials through libmunge, as a user with these IDs. */
export function probeDecode(
  probe: string,
  socket: string,
  credentials: readonly string[],
  user: { uid?: number; gid?: number } = {},
): ProbeDecoded[] {
  const lines = credentials.map((credential) => `decode ${credential}`);
  return ask(probe, socket, lines, user).map((answer) => {
    const words = answer.split(" ");
    const [errno, cipher, mac, zip, ttl, uid, gid, uidRestriction, gidRestriction] = words.slice(
      0,
      9,
    ).map(
      Number,
    );
    return {
      errno: errno!,
      cipher: cipher!,
      mac: mac!,
      zip: zip!,
      ttl: ttl!,
      uid: uid!,
      gid: gid!,
      uidRestriction: uidRestriction!,
      gidRestriction: gidRestriction!,
      address: words[9]!,
      length: Number(words[10]),
      matches: words[11] === "1",
      text: words.slice(12).join(" "),
    };
  });
}
