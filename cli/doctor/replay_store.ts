// Checks the realm's replay store: whether this host can reach it, and whether it is reliable.
import type { StoreConfig } from "../../daemon/munged/replay_store/messages.ts";
import { AS_ROOT } from "./file_checks.ts";
import { advise, type Finding, ok, problem, skipped, warning } from "./finding.ts";
import type { Node } from "./node.ts";

/** Whether munged can rely on its replay store, if it has one. */
export async function replayStore({ config, canReadAll, uid }: Node): Promise<Finding[]> {
  const { replayStore } = config;
  if (replayStore === null) return [];
  if (!canReadAll && config.replayStorePasswordFile !== null) {
    return [skipped(`You can't read the replay store's password: ${AS_ROOT}`)];
  }
  const store: StoreConfig = { ...config, replayStore, ...(uid === undefined ? {} : { uid }) };
  try {
    return await examine(store);
  } catch (error) {
    const text = `The replay store can't be reached: ${(error as Error).message}`;
    return config.replayStorePolicy === "refuse"
      ? [problem(`${text}: credentials are refused`, REACH)]
      : [warning(`${text}: replays are refused on each host only`, REACH)];
  }
}

const REACH = advise("Start the store, or correct its URL, user, password or certificate");

async function examine(store: StoreConfig): Promise<Finding[]> {
  const { formatAddress, readAccess } = await import(
    "../../daemon/munged/replay_store/access.ts"
  );
  const { Link } = await import("../../daemon/munged/replay_store/link.ts");
  const { askMaster } = await import("../../daemon/munged/replay_store/master.ts");
  const { LOCATE } = await import("../../daemon/munged/replay_store/topology.ts");
  const { flawsOf } = await import("../../daemon/munged/replay_store/trouble.ts");
  const access = readAccess(store);
  const timeout = store.replayStoreTimeout;
  const found: Finding[] = [];
  for (const { address } of await LOCATE[store.replayStore.kind](store, access, [])) {
    const name = formatAddress(address);
    const link = await Link.open(address, access, timeout, timeout);
    try {
      const begun = performance.now();
      const { facts } = await askMaster(link);
      const milliseconds = Math.ceil(performance.now() - begun);
      const flaws = flawsOf(facts, store).map((flaw) =>
        warning(`The replay store ${name} ${flaw}`)
      );
      const answers = `The replay store ${name} (${facts.version}) answers in ${milliseconds} ms`;
      found.push(...flaws.length === 0 ? [ok(answers)] : flaws);
    } finally {
      link.close();
    }
  }
  return found;
}
