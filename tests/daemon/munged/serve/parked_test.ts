// Parked clients: their resources are bounded, per user and in total, and the user who holds most yields first.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type KeptConnection,
  KeptConnections,
} from "../../../../daemon/munged/serve/kept_connections.ts";
import { type ParkedClient, ParkedClients } from "../../../../daemon/munged/serve/parked.ts";
import type { Poller } from "../../../../lib/os/poller.ts";

const LIMITS = { clients: 10, bytes: 1000, bytesOfUser: 500 };
const [GREEDY, HONEST] = [1000, 0];

/** Parked clients, the descriptors watched for them, and who was disconnected why. */
function parking(limits = LIMITS, others = () => 0) {
  const watched = new Set<number>();
  const ended: [fd: number, reason: string][] = [];
  const poller: Poller = {
    descriptor: null,
    add(fd) {
      assert(!watched.has(fd), `${fd} is watched twice`);
      watched.add(fd);
    },
    remove: (fd) => void assert(watched.delete(fd), `${fd} was not watched`),
    wait: () => 0,
    ready: () => 0,
  };
  const parked = new ParkedClients(
    poller,
    limits,
    ({ fd }, reason) => void ended.push([fd, reason]),
    others,
  );
  const park = (
    fd: number,
    uid: number,
    length: number,
    isAnswer = false,
    kept?: KeptConnection,
  ): ParkedClient => {
    const client: ParkedClient = {
      ...kept === undefined ? {} : { kept },
      fd,
      peer: { pid: 1, uid, gid: uid },
      deadline: 0,
      buffer: new Uint8Array(length),
      done: 0,
      answer: isAnswer ? { bytes: new Uint8Array(length), remembered: null } : null,
      isWatched: true,
    };
    parked.park(client);
    return client;
  };
  return { parked, park, watched, ended };
}

test("clients are disconnected when their time is over, and not before", () => {
  const { parked, park, ended, watched } = parking();
  const { deadline } = park(1, HONEST, 10);
  assert.equal(parked.nextDeadline(), deadline);
  parked.cutOff(deadline - 1);
  assert.deepEqual(ended, []);
  parked.cutOff(deadline);
  assert.deepEqual(ended, [[1, "Timed-out"]]);
  assert.equal(parked.nextDeadline(), Infinity);
  assert.equal(watched.size, 0);
});

test("when descriptors are scarce, the user who holds most of them loses one", () => {
  const { park, ended } = parking();
  park(1, HONEST, 10);
  for (let fd = 2; fd <= 11; fd++) park(fd, GREEDY, 1);
  assert.deepEqual(ended, [[2, "Out of resources"]]);
});

test("kept connections count towards the limit of clients, once each, but leave room for two others", () => {
  const connections = new KeptConnections(LIMITS.clients);
  const { park, parked, ended } = parking(LIMITS, () => connections.unparked);
  const kept = Array.from({ length: 4 }, (_, i) => {
    return connections.add(100 + i, { pid: 1, uid: 2000 + i, gid: 2000 }, 0);
  });
  for (let fd = 1; fd <= 7; fd++) park(fd, GREEDY, 1);
  assert.deepEqual(ended, [[1, "Out of resources"]]);
  connections.park(kept[0]!, 0);
  park(kept[0]!.fd, kept[0]!.peer.uid, 1, false, kept[0]);
  assert.equal(ended.length, 1);
  parked.remove(parked.get(kept[0]!.fd)!);
  connections.unpark(kept[0]!, 0);
  parked.limit();
  assert.equal(ended.length, 1);
  for (let i = 0; i < 3; i++) parked.keepFewer();
  assert.equal(parked.size, 3);
  for (let i = 0; i < 3; i++) parked.keepFewer();
  assert.equal(parked.size, 2);
});

test("a client holds all of its memory, not only what a long request needs of it", () => {
  const { parked, ended } = parking({ clients: 10, bytes: 300_000, bytesOfUser: 300_000 });
  for (const fd of [1, 2]) {
    parked.park({
      fd,
      peer: { pid: 1, uid: GREEDY, gid: GREEDY },
      deadline: 0,
      buffer: new Uint8Array(new ArrayBuffer(200_000), 0, 100_000),
      done: 0,
      answer: null,
      isWatched: true,
    });
  }
  assert.deepEqual(ended, [[1, "Out of resources"]]);
});

test("when memory is scarce, the user who uses most of it loses some", () => {
  const { park, ended } = parking();
  park(1, HONEST, 400);
  park(2, GREEDY, 450);
  park(3, GREEDY, 300);
  assert.deepEqual(ended, [[2, "Out of resources"]]);
});

test("a user's clients that leave their answers unread have a limit of their own", () => {
  const { park, ended } = parking();
  park(1, HONEST, 100);
  for (let fd = 2; fd <= 6; fd++) park(fd, GREEDY, 120, true);
  assert.deepEqual(ended, [[2, "Out of resources"]]);
});

test("what else a client has sent over a kept connection counts, too", () => {
  const { parked, park, ended } = parking();
  const connections = new KeptConnections(100);
  const lazy = Array.from({ length: 5 }, (_, i) => {
    const kept = connections.add(2 + i, { pid: 1, uid: GREEDY, gid: GREEDY }, 0);
    kept.rest = new Uint8Array(110);
    return park(kept.fd, GREEDY, 10, true, kept);
  });
  assert.deepEqual(ended, [[2, "Out of resources"]]);
  lazy.slice(1).forEach((client) => parked.remove(client));
  park(20, GREEDY, 490, true);
  assert.equal(ended.length, 1, "nothing is left of the connections");
});

test("an answer too long for the limit is kept until there is another one", () => {
  const { park, ended } = parking();
  park(1, GREEDY, 450);
  park(2, GREEDY, 520, true);
  assert.deepEqual(ended, []);
  park(3, GREEDY, 10, true);
  assert.deepEqual(ended, [[2, "Out of resources"]]);
});

test("no request of a user who uses too much is completed beside an unread answer", () => {
  const { parked, park, watched, ended } = parking();
  const answer = park(1, GREEDY, 450, true);
  const [first, second] = [park(2, GREEDY, 250), park(3, GREEDY, 250)];
  assert(!parked.mayGather(first));
  assert(!parked.mayGather(second));
  assert.deepEqual([...watched], [1]);
  const { deadline } = first;
  first.deadline = 0;
  parked.remove(answer);
  assert.deepEqual([...watched], [2]);
  assert(first.deadline >= deadline, "its time restarts");
  assert(parked.mayGather(first));
  assert.deepEqual(ended, []);
});

test("a client whose long message makes progress gets more time", () => {
  const { parked, park, ended } = parking();
  const { deadline } = park(1, HONEST, 10);
  const client = park(2, HONEST, 10);
  client.deadline = deadline + 1;
  parked.extend(client);
  assert(client.deadline >= deadline);
  parked.cutOff(deadline);
  assert.deepEqual(ended, [[1, "Timed-out"]]);
});

test("clients of a user who uses too much are not read until another one is done", () => {
  const { parked, park, watched, ended } = parking();
  const [first, second, third] = [1, 2, 3].map((fd) => park(fd, GREEDY, 180)) as [
    ParkedClient,
    ParkedClient,
    ParkedClient,
  ];
  const honest = park(4, HONEST, 10);
  assert(parked.isFull(GREEDY) && !parked.isFull(HONEST));
  assert(parked.mayGather(second), "one of them makes progress");
  assert(!parked.mayGather(first));
  assert(!parked.mayGather(third));
  assert(parked.mayGather(honest));
  assert.deepEqual([...watched].sort(), [2, 4]);
  parked.grew(second, 50);
  parked.remove(second);
  assert.deepEqual([...watched].sort(), [1, 4]);
  assert(parked.mayGather(first));
  parked.remove(first);
  assert.deepEqual([...watched].sort(), [3, 4]);
  assert.deepEqual(ended, []);
  parked.remove(third);
  parked.remove(honest);
  assert.equal(parked.size, 0);
});

test("the more users there are, the less of each is read at a time, and nobody is disconnected", () => {
  const { parked, park, ended } = parking();
  const uids = [1001, 1002, 1003, 1004];
  const clients = uids.map((uid, index) => [park(10 + index, uid, 100), park(20 + index, uid, 80)]);
  assert(uids.every((uid) => !parked.isFull(uid)), "a fifth of the memory is left to each");
  for (const [first] of clients) parked.grew(first!, 20);
  assert(uids.every((uid) => parked.isFull(uid)));
  for (const [first, second] of clients) {
    assert(parked.mayGather(first!), "one of each user makes progress");
    assert(!parked.mayGather(second!));
  }
  assert(!parked.isFull(HONEST), "there is room for a new user");
  park(30, HONEST, 200);
  assert.deepEqual(ended, []);
});

test("a client disconnected while paused is not watched again", () => {
  const { parked, park, watched } = parking();
  const [first, second] = [park(1, GREEDY, 300), park(2, GREEDY, 300)];
  assert(parked.mayGather(first));
  assert(!parked.mayGather(second));
  parked.cutOff(Infinity);
  assert.equal(parked.size, 0);
  assert.equal(watched.size, 0);
});

test("a client that waits for its turn keeps its place, and its time restarts", () => {
  const { parked, park, watched, ended } = parking();
  const early = park(1, HONEST, 10);
  const late = park(2, HONEST, 10);
  late.deadline = early.deadline + 1000;
  parked.awaitTurn(early);
  assert(!watched.has(1));
  assert.equal(parked.get(1), early);
  parked.cutOff(late.deadline);
  assert.deepEqual(ended.map(([fd]) => fd), [2, 1]);
});
