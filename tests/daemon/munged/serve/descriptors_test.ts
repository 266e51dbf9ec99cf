// What a process has sent that munged has not answered yet, whichever worker serves it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { acceptConnection, close, listenUnix, receive } from "../../../../lib/os/socket.ts";
import { fixedMemory, ptr } from "../../../../lib/os/libc.ts";
import {
  closeDescriptorsOf,
  createDescriptorTable,
  Descriptors,
} from "../../../../daemon/munged/serve/descriptors.ts";

const PROCESS = 4711;
const MANY = 100;
const memory = new Uint8Array(fixedMemory(64));

let folder: string;
let listener: number;
let client: Socket;
let table: SharedArrayBuffer;
let descriptors: Descriptors;
/** The descriptor of the client. */
let fd: number;

before(() => {
  folder = mkdtempSync("/tmp/munge-descriptors-");
  listener = listenUnix(join(folder, "socket"), 1);
});
beforeEach(async () => {
  client = connect({ path: join(folder, "socket") });
  await once(client, "connect");
  fd = acceptConnection(listener);
  table = createDescriptorTable();
  descriptors = new Descriptors(table, 1);
  descriptors.own(fd, PROCESS);
});
afterEach(() => client.destroy());
after(() => {
  close(listener);
  rmSync(folder, { recursive: true });
});

const write = (text: string) => new Promise<void>((resolve) => client.write(text, () => resolve()));
const requests = (except = -1) =>
  new Descriptors(table, 2).requestsOf(PROCESS, except, MANY).map(({ fd }) => fd);
/** Reads all that has arrived, as the worker does. */
function read(): void {
  descriptors.setIdle(fd, false);
  receive(fd, ptr(memory), memory.length);
}

test("a client counts while it is served, and while something of it waits to be read", async () => {
  assert.deepEqual(requests(), [fd], "its bytes have not been looked for");
  assert.deepEqual(requests(fd), [], "it is the one that asks");
  descriptors.setIdle(fd, true);
  assert.deepEqual(requests(), [], "nothing has arrived");
  await write("x");
  assert.deepEqual(requests(), [fd], "a byte waits to be read");
  read();
  assert.deepEqual(requests(), [fd], "it is being answered");
  descriptors.setIdle(fd, true);
  assert.deepEqual(requests(), [], "the rest has not arrived");
  descriptors.hangUp(fd);
  assert.deepEqual(requests(), []);
});

test("of all descriptors, only those of the process count, and not more than asked for", () => {
  const second = openSync("/dev/null", "r");
  const stranger = openSync("/dev/null", "r");
  descriptors.own(second, PROCESS);
  descriptors.own(stranger, PROCESS + 1);
  assert.deepEqual(requests().sort((a, b) => a - b), [fd, second].sort((a, b) => a - b));
  assert.equal(descriptors.requestsOf(PROCESS, -1, 1).length, 1);
  closeDescriptorsOf(table, 1);
  assert.deepEqual(requests(), [], "their worker is dead");
});

test("what had been sent is answered once it has been read and no request in it is left", async () => {
  descriptors.setIdle(fd, true);
  await write("x");
  const [request] = descriptors.requestsOf(PROCESS, -1, MANY);
  assert.equal(descriptors.isAnswered(request!), false);
  read();
  assert.equal(descriptors.isAnswered(request!), false);
  await write("the next request");
  descriptors.setIdle(fd, true);
  assert.equal(descriptors.isAnswered(request!), true, "the next request came later");
});

test("what arrived while its worker was reading counts, even if the worker has missed it", async () => {
  read();
  await write("x"); // after the worker has looked for it
  const [request] = descriptors.requestsOf(PROCESS, -1, MANY);
  descriptors.setIdle(fd, true);
  assert.equal(descriptors.isAnswered(request!), false);
  read();
  assert.equal(descriptors.isAnswered(request!), false);
  descriptors.setIdle(fd, true);
  assert.equal(descriptors.isAnswered(request!), true);
});

test("nobody waits for the next client with the same descriptor", async () => {
  descriptors.setIdle(fd, true);
  await write("x");
  const [unread] = descriptors.requestsOf(PROCESS, -1, MANY);
  assert.equal(descriptors.isAnswered(unread!), false);
  descriptors.hangUp(fd);
  descriptors.own(fd, PROCESS);
  assert.equal(descriptors.isAnswered(unread!), true);
  const [served] = descriptors.requestsOf(PROCESS, -1, MANY);
  assert.equal(descriptors.isAnswered(served!), false);
  assert.equal(openSync("/dev/null", "r"), fd, "the lowest one that is free");
  closeDescriptorsOf(table, 1);
  descriptors.own(fd, PROCESS);
  assert.equal(descriptors.isAnswered(served!), true);
});
