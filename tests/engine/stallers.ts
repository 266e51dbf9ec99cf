// A program that keeps stalling clients connected to munged: some send nothing, some a byte, some half a header or half a
// request, some a request whose answer they never read. A client that is disconnected is reopened.
//   bun stallers.ts SOCKET COUNT [KIND]
// Input lines: "on", "off"; the end of input ends the program. Answers: "on" once all are open; after "off" and at the
// end, what became of them, as JSON.
import { readSync, writeSync } from "node:fs";
import { formatEncodeRequest } from "../../lib/protocol/message.ts";
import { close } from "../../lib/os/socket.ts";
import { encodeRequest } from "../requests.ts";
import { connect, HangUps, sendSome } from "./connection.ts";

/** The outcome for the clients. Times in milliseconds. */
export interface StallerReport {
  readonly opened: number;
  readonly cut: number;
  /** Shortest and longest time between connecting and being disconnected, by kind. */
  readonly shortest: Readonly<Record<string, number>>;
  readonly longest: Readonly<Record<string, number>>;
}

const request = (length: number) =>
  formatEncodeRequest(encodeRequest({ payload: new Uint8Array(length) }), 0);

/** What each kind sends; the answer to the last is larger than a socket's buffer. */
const KINDS: Readonly<Record<string, Uint8Array>> = {
  nothing: new Uint8Array(0),
  byte: request(0).subarray(0, 1),
  "half a header": request(0).subarray(0, 6),
  "half a body": request(1000).subarray(0, 500),
  deaf: request(180_000),
};
/** Only one in ten is deaf, because making its answer is legitimate work for munged. */
const MIX = ["nothing", "byte", "half a header", "half a body", "deaf"].flatMap((kind) =>
  kind === "deaf" ? [kind] : [kind, kind]
).concat("nothing");

function run(path: string, count: number, kinds: readonly string[]): void {
  const hangUps = new HangUps();
  const clients = new Map<number, { since: number; kind: string }>();
  let report = { opened: 0, cut: 0, shortest: {}, longest: {} } as {
    opened: number;
    cut: number;
    shortest: Record<string, number>;
    longest: Record<string, number>;
  };
  let isOn = false;
  let isAnnounced = true;
  const say = (text: string) => writeSync(1, `${text}\n`);

  const open = () => {
    const since = performance.now(); // before munged can know of it
    const fd = connect(path);
    if (fd < 0) return false;
    const kind = kinds[report.opened++ % kinds.length]!;
    clients.set(fd, { since, kind });
    sendSome(fd, KINDS[kind]!);
    hangUps.add(fd);
    return true;
  };
  const closed = (fd: number) => {
    const { since, kind } = clients.get(fd)!;
    const time = performance.now() - since;
    report.cut++;
    report.shortest[kind] = Math.min(report.shortest[kind] ?? Infinity, time);
    report.longest[kind] = Math.max(report.longest[kind] ?? 0, time);
    clients.delete(fd);
    close(fd);
  };
  const off = () => {
    for (const fd of clients.keys()) close(fd);
    clients.clear();
    say(JSON.stringify(report));
    report = { opened: 0, cut: 0, shortest: {}, longest: {} };
    isOn = false;
  };

  hangUps.add(0, true);
  const line = new Uint8Array(64);
  const decoder = new TextDecoder();
  for (;;) {
    let order: string | null = null;
    for (const fd of hangUps.wait(isOn && clients.size < count ? 10 : 1000)) {
      if (fd === 0) order = decoder.decode(line.subarray(0, readSync(0, line))).trim();
      else closed(fd);
    }
    if (order !== null && isOn) off();
    if (order === "") return;
    if (order === "on") [isOn, isAnnounced] = [true, false];
    if (!isOn) continue;
    while (clients.size < count && open());
    if (clients.size === count && !isAnnounced) {
      isAnnounced = true;
      say("on");
    }
  }
}

if (import.meta.main) {
  const [path = "", count = "0", kind] = process.argv.slice(2);
  run(path, Number(count), kind === undefined ? MIX : [kind]);
}
