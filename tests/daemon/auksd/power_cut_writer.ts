// The process whose machine power_cut_test.ts stops: writes and removes users' files, and notes each acknowledged change.
//   power_cut_writer.ts DIRECTORY NOTES FIRST_VERSION
import { closeSync, openSync, writeSync } from "node:fs";
import { CacheDirectory } from "../../../daemon/auksd/cache_directory.ts";
import { contentOf, USERS } from "./power_cut_content.ts";

const [directory = "", notes = "", first = ""] = process.argv.slice(2);
const cache = new CacheDirectory(directory, true);
cache.names();
const fd = openSync(notes, "w");
process.on("exit", () => closeSync(fd));

async function change(uid: number): Promise<never> {
  for (let version = Number(first);; version++) {
    const content = contentOf(uid, version);
    if (content === undefined) await cache.remove(uid);
    else await cache.write(uid, content);
    writeSync(fd, `${uid} ${version}\n`);
  }
}

await Promise.all(Array.from({ length: USERS }, (_, uid) => change(uid)));
