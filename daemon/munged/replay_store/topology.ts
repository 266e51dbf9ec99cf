// Which server has which entries, by kind of store.
import type { StoreAddress, StoreKind } from "../config.ts";
import type { Access } from "./access.ts";
import type { StoreConfig } from "./messages.ts";

/** A master, and the slots it has: the first and the last of each range. */
export interface Shard {
  readonly address: StoreAddress;
  readonly ranges: readonly (readonly [first: number, last: number])[];
}

/** Number of slots of a cluster. */
export const SLOTS = 16_384;
/** All of them. */
const EVERYTHING: Shard["ranges"] = [[0, SLOTS - 1]];

/** Finds the masters of a store. @throws {Error} with the reason. */
type Locate = (config: StoreConfig, access: Access) => Promise<readonly Shard[]>;

const single: Locate = ({ replayStore }) =>
  Promise.resolve([{ address: replayStore.servers[0]!, ranges: EVERYTHING }]);

/** By kind of store. */
export const LOCATE: Readonly<Record<StoreKind, Locate>> = {
  single,
  sentinel: single,
  cluster: single,
};

/** The slot of a name. */
export function slotOf(_name: string): number {
  return 0;
}

/** A tag that puts a name into one of the ranges. */
export function tagIn(_ranges: Shard["ranges"]): string {
  return "";
}
