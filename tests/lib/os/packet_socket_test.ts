// Sockets that keep the boundaries of messages, and say whose they are.
import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  connectForPackets,
  listenForPackets,
  MAX_PACKET,
  receivePacket,
  sendPacket,
} from "../../../lib/os/packet_socket.ts";
import { acceptConnection, identifyPeer, peer } from "../../../lib/os/socket.ts";
import { withDirectory } from "../../harness/scratch.ts";

const skip = process.platform !== "linux";
const bytes = (text: string) => new TextEncoder().encode(text);

function withConnection(body: (one: number, other: number) => void): void {
  withDirectory((directory) => {
    const path = join(directory, "socket");
    const listener = listenForPackets(path);
    const one = connectForPackets(path);
    const other = acceptConnection(listener);
    body(one, other);
    closeSync(listener);
  });
}

test("messages keep their boundaries, and a descriptor comes with its message", { skip }, () => {
  withConnection((one, other) => {
    assert.equal(receivePacket(other), null);
    const file = openSync(import.meta.filename, "r");
    sendPacket(one, bytes("first"), null);
    sendPacket(one, bytes("second"), file);
    closeSync(file);
    const first = receivePacket(other);
    const second = receivePacket(other);
    assert(first !== null && first !== "closed" && second !== null && second !== "closed");
    assert.deepEqual([first.bytes, first.passed], [bytes("first"), null]);
    assert.deepEqual(second.bytes, bytes("second"));
    const start = new Uint8Array(6);
    readSync(second.passed!, start);
    assert.deepEqual(start, new Uint8Array(readFileSync(import.meta.filename).subarray(0, 6)));
    // Close-on-exec, 02000000.
    const info = readFileSync(`/proc/self/fdinfo/${second.passed}`, "utf8");
    assert.match(info, /^flags:\s*0*2\d{6}$/m);
    closeSync(second.passed!);
    closeSync(one);
    assert.equal(receivePacket(other), "closed");
    assert.throws(() => sendPacket(other, bytes("late"), null), { code: "EPIPE" });
    closeSync(other);
  });
});

test("the kernel names the other side's process", { skip }, () => {
  withConnection((one, other) => {
    for (const end of [one, other]) {
      assert(identifyPeer(end));
      assert.deepEqual([peer.pid, peer.uid], [process.pid, process.geteuid!()]);
      closeSync(end);
    }
  });
});

test("a message of maximum length arrives whole", { skip }, () => {
  withConnection((one, other) => {
    const longest = new Uint8Array(MAX_PACKET).fill(7);
    sendPacket(one, longest, null);
    const received = receivePacket(other);
    assert(received !== null && received !== "closed");
    assert.deepEqual(received.bytes, longest);
    assert.throws(() => sendPacket(one, new Uint8Array(MAX_PACKET + 1), null), RangeError);
    closeSync(one);
    closeSync(other);
  });
});

test("a second descriptor is not kept", { skip: skip || spawnless() }, () => {
  withConnection((one, other) => {
    const { exitCode, stderr } = Bun.spawnSync(["python3", "-c", PASS_TWO, import.meta.filename], {
      stdio: ["ignore", "ignore", "pipe", one],
    });
    assert.equal(exitCode, 0, stderr.toString());
    assert.throws(() => receivePacket(other), /Message too long/);
    assert(!openFiles().includes(import.meta.filename));
    closeSync(one);
    closeSync(other);
  });
});

const PASS_TWO = `
import array, socket, sys
files = [open(sys.argv[1]) for _ in range(2)]
rights = array.array("i", [file.fileno() for file in files])
socket.socket(fileno=3).sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
`;

function spawnless(): string | false {
  return Bun.which("python3") === null && "needs python3";
}

/** The paths of this process's open files. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return []; // closed meanwhile, as the one of the directory
    }
  });
}
