// A worker's questions to the realm's store, in terms of credentials. Loaded only if there is a store.
import { type Realms, requireRealm } from "../keys/realms.ts";
import { fingerprintOf } from "../keys/shared_subkeys.ts";
import { credentialName, entryLifetime } from "../replay_store/names.ts";
import { type StoreEnds, StoreQuestions } from "../replay_store/questions.ts";
import { type RealmStoreRules, scopeOf } from "../replay_store/scope.ts";
import type { RealmReplays } from "./context.ts";

/** A worker's access to the store. */
export interface WorkerStore {
  readonly questions: StoreQuestions;
  readonly realmReplays: RealmReplays;
}

/**
 * Prepares a worker for the store.
 *
 * @param drift seconds by which clocks may differ.
 * @param realms the realms in force.
 */
export function openStore(
  { ends, policy, scopes }: RealmStoreRules & { readonly ends: StoreEnds },
  drift: number,
  realms: () => Realms,
): WorkerStore {
  const questions = new StoreQuestions(ends);
  return {
    questions,
    realmReplays: {
      policy,
      covers: (realm) => scopeOf(scopes, realm) === "realm",
      ask({ realm, ringIndex, replayKey, encodeTime }, expiry, now) {
        const key = requireRealm(realms(), realm).ring[ringIndex]!;
        return questions.ask({
          name: credentialName(fingerprintOf(key), replayKey),
          lifetime: entryLifetime(expiry, now, drift),
          encodeTime,
        });
      },
      drop: (question) => questions.drop(question),
    },
  };
}
