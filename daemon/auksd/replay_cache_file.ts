// The file of libkrb5's default replay cache. It is in a world-writable directory, and libkrb5 opens it only for the first
// client, so auksd checks it at startup.
import { lstatSync } from "node:fs";
import { join } from "node:path";

/** Its directory in MIT Kerberos, unless the environment names another. */
const DEFAULT_DIRECTORY = "/var/tmp";

/**
 * A warning about a file that another user has put there, which makes libkrb5 refuse every client.
 *
 * @returns undefined if there is no such file.
 */
export function foreignReplayCache(
  { KRB5RCACHENAME, KRB5RCACHEDIR, TMPDIR }: Readonly<NodeJS.ProcessEnv> = process.env,
): string | undefined {
  if (KRB5RCACHENAME !== undefined) return undefined;
  const own = process.geteuid!();
  const path = join(KRB5RCACHEDIR ?? TMPDIR ?? DEFAULT_DIRECTORY, `krb5_${own}.rcache2`);
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || (stats.isFile() && stats.uid === own)) return undefined;
  const what = stats.isFile() ? `belongs to UID ${stats.uid}` : "is not a regular file";
  return `${path} ${what}: until it is removed, libkrb5 can't detect replays, and every client is refused`;
}
