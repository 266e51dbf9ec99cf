// IPv4 networks: their notation, and the addresses in them.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatNetwork,
  isWithin,
  parseNetwork,
} from "../../../../daemon/munged/policy/networks.ts";

const address = (text: string) => Uint8Array.from(text.split("."), Number);

test("an address is within a network if it begins with its prefix", () => {
  for (
    const [network, inside, outside] of [
      ["10.1.0.0/16", ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0", "138.1.0.0"]],
      ["192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]],
      ["192.0.2.6/31", ["192.0.2.6", "192.0.2.7"], ["192.0.2.5", "192.0.2.8"]],
      ["128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "0.0.0.0"]],
      ["0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "128.0.0.0"], []],
    ] as const
  ) {
    const networks = [parseNetwork(network)];
    for (const each of inside) assert(isWithin(networks, address(each)), `${each} in ${network}`);
    for (const each of outside) assert(!isWithin(networks, address(each)), `${each} in ${network}`);
    assert.equal(formatNetwork(networks[0]!), network);
    assert(!isWithin(networks, new Uint8Array(0)));
  }
  const several = [parseNetwork("10.0.0.0/8"), parseNetwork("192.0.2.1/32")];
  assert(isWithin(several, address("192.0.2.1")) && isWithin(several, address("10.9.9.9")));
  assert(!isWithin([], address("10.0.0.1")));
});

test("anything but a network is refused, with the reason", () => {
  for (
    const text of [
      "",
      "10",
      "10.1.0",
      "10.1.0.0/",
      "10.1.0.0/33",
      "10.1.0.0/-1",
      "10.1.0.0/016",
      "10.1.0.0/8/8",
      "10.1.0.256",
      "010.1.0.0",
      "::1",
      "2001:db8::/32",
      "host",
      " 10.1.0.0",
    ]
  ) {
    assert.throws(() => parseNetwork(text), /is not an IPv4 network, such as/, text);
  }
  assert.throws(
    () => parseNetwork("10.1.2.3/16"),
    /"10.1.2.3\/16" has bits set beyond its prefix; the network is 10.1.0.0\/16/,
  );
});
