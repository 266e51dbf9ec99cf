// The file of libkrb5's default replay cache. It is in a directory for everyone, and libkrb5 opens it only when the first
// client comes, so auksd looks at it beforehand.
import { lstatSync } from "node:fs";
import { join } from "node:path";

/** Where MIT Kerberos keeps it, unless the environment names another place. */
const DEFAULT_DIRECTORY = "/var/tmp";

/**
 * A warning about a file that another user has put in its place: libkrb5 then refuses every client.
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
