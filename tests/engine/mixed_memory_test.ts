// After many requests of every kind, munged gives back the memory that they needed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { memoryOf, MIB, settledMemory } from "../harness/memory.ts";
import { Realm } from "../harness/realm.ts";
import { leastOf, runProgram } from "./load.ts";

const CREDENTIALS = 4_000;
/** Requests of each kind: compression makes the most garbage, and different ciphers run different code. */
const KINDS = [
  ["--cipher=aes128", "--mac=sha256", "--length=100"],
  ["--cipher=cast5", "--mac=sha512", "--zip=zlib", "--length=4000"],
  ["--cipher=blowfish", "--mac=sha1", "--zip=bzlib", "--length=300"],
  ["--cipher=aes256", "--mac=sha256", "--zip=bzlib", "--length=30000"],
];
/**
 * MiB beyond an unused munged. Its own memory (RssAnon): compiled code is about half of it. Pages of the executable's file
 * (RssFile): serving needs three, and the collector, which runs last, another eight until they are given back.
 */
const MOST = { RssAnon: 40, RssFile: 6 } as const;
/** By then the engine's compiler threads have ended, and munged has given back what they left. */
const PURGED_MS = 14_000;

test(
  `requests of every kind leave at most ${MOST.RssAnon + MOST.RssFile} MiB behind`,
  { skip: process.platform !== "linux" && "needs /proc" },
  async () => {
    const realm = new Realm();
    try {
      await leastOf({ most: 1, tries: 3 }, async () => {
        const munged = await realm.start("ours");
        const { pid } = munged.process;
        await settledMemory(pid!);
        const before = { RssAnon: memoryOf(pid!, "RssAnon"), RssFile: memoryOf(pid!, "RssFile") };
        const added = (kind: keyof typeof MOST) => (memoryOf(pid!, kind) - before[kind]) / MIB;
        for (const kind of KINDS) {
          const words = [
            `--socket=${munged.socket}`,
            "--decode",
            "--num-threads=4",
            `--num-creds=${CREDENTIALS}`,
            ...kind,
          ];
          const { out } = await runProgram(realm, "ours", "remunge", words);
          assert.match(out, new RegExp(`Processed ${CREDENTIALS} credentials`));
        }
        const during = added("RssAnon");
        await pause(PURGED_MS);
        const own = added("RssAnon");
        const pages = added("RssFile");
        console.log(
          `${Math.round(during)} MiB, afterwards ${Math.round(own)} and ${
            Math.round(pages)
          } of the file`,
        );
        assert.equal(await munged.stop(), 0);
        return Math.max(own / MOST.RssAnon, pages / MOST.RssFile);
      });
    } finally {
      await realm.close();
    }
  },
);
