// Where the masters of a store are, by kind of store: a fixed address, the one that sentinels agree on, or those of a
// cluster.
import type { StoreAddress, StoreKind } from "../config.ts";
import { type Access, formatAddress } from "./access.ts";
import { Link } from "./link.ts";
import type { StoreConfig } from "./messages.ts";
import { ALL_SLOTS, type SlotRange, SLOTS } from "./slots.ts";

/** A master, and the slots it has. */
export interface Shard {
  readonly address: StoreAddress;
  readonly ranges: readonly SlotRange[];
}

/** More masters than any store needs. Each takes a descriptor away from clients. */
const MAX_MASTERS = 100;

/**
 * Finds the masters of a store.
 *
 * @param known masters found earlier.
 * @throws {Error} with the reason.
 */
type Locate = (
  config: StoreConfig,
  access: Access,
  known: readonly StoreAddress[],
) => Promise<readonly Shard[]>;

/** By kind of store. */
export const LOCATE: Readonly<Record<StoreKind, Locate>> = {
  single: ({ replayStore }) =>
    Promise.resolve([{ address: replayStore.servers[0]!, ranges: ALL_SLOTS }]),

  /** More than half of the sentinels must agree: one that is cut off from the others may name a former master. */
  async sentinel({ replayStore: { servers, master }, replayStoreTimeout }, access) {
    const answers = await Promise.allSettled(servers.map(async (server) => {
      const link = await openSentinel(server, access, replayStoreTimeout);
      return ask(link, "SENTINEL", ["get-master-addr-by-name", master]);
    }));
    const votes = new Map<string, { count: number; address: StoreAddress }>();
    for (const answer of answers) {
      if (answer.status === "rejected" || !Array.isArray(answer.value)) continue;
      const [host, port] = answer.value as [string, string];
      const address = { host, port: Number(port) };
      const vote = votes.get(formatAddress(address)) ?? { count: 0, address };
      vote.count++;
      votes.set(formatAddress(address), vote);
    }
    const chosen = [...votes.values()].find(({ count }) => count > servers.length / 2);
    if (chosen !== undefined) return [{ address: chosen.address, ranges: ALL_SLOTS }];
    const failed = answers.find((answer) => answer.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    throw new Error(
      votes.size === 0
        ? `Sentinels don't know a master "${master}"`
        : `Sentinels don't agree on the master "${master}"`,
    );
  },

  async cluster({ replayStore: { servers }, replayStoreTimeout }, access, known) {
    let failure: unknown;
    for (const server of [...known, ...servers]) {
      try {
        const link = await Link.open(server, access, replayStoreTimeout, replayStoreTimeout);
        return shardsIn(await ask(link, "CLUSTER", ["SLOTS"]), server);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  },
};

/** Asks one question over a connection, and closes it. */
async function ask(link: Link, command: string, args: readonly string[]): Promise<unknown> {
  try {
    return await link.send(command, args);
  } finally {
    link.close();
  }
}

/** Connects to a sentinel, which may lack the user that its servers have. */
async function openSentinel(
  server: StoreAddress,
  access: Access,
  timeout: number,
): Promise<Link> {
  try {
    return await Link.open(server, access, timeout, timeout);
  } catch (error) {
    if (access.user === "" && access.password === "") throw error;
    try {
      return await Link.open(server, { ...access, user: "", password: "" }, timeout, timeout);
    } catch {
      throw error;
    }
  }
}

/**
 * The masters in an answer to CLUSTER SLOTS.
 *
 * @param asked the server that answered; it may leave out its own address.
 * @throws {UnexpectedAnswer} for any other answer, {Error} if there are too many masters.
 */
export function shardsIn(answer: unknown, asked: StoreAddress): Shard[] {
  const shards = new Map<string, { address: StoreAddress; ranges: SlotRange[] }>();
  for (const row of listIn(answer)) {
    const [first, last, master] = listIn(row);
    const [host, port] = listIn(master);
    if (!isSlot(first) || !isSlot(last) || first > last) throw new UnexpectedAnswer(asked);
    if (typeof port !== "number" || !(typeof host === "string" || host === null)) {
      throw new UnexpectedAnswer(asked);
    }
    if (host === "?") continue; // unknown even to the server that answered
    const address = { host: host || asked.host, port };
    const name = formatAddress(address);
    const shard = shards.get(name) ?? { address, ranges: [] };
    shard.ranges.push([first, last]);
    shards.set(name, shard);
    if (shards.size > MAX_MASTERS) {
      throw new Error(
        `${formatAddress(asked)}: Its answer names more than ${MAX_MASTERS} masters`,
      );
    }
  }
  if (shards.size === 0) throw new UnexpectedAnswer(asked);
  return [...shards.values()];
}

/** A server gave an answer that names no masters. */
export class UnexpectedAnswer extends Error {
  constructor(asked: StoreAddress) {
    super(`${formatAddress(asked)}: Its answer names no masters`);
  }
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && 0 <= (value as number) && (value as number) < SLOTS;
}
