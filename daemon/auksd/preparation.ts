// What auksd checks before it puts a configuration in force, at startup, on each SIGHUP and for --check-config: its files, keys
// and hosts. The port is bound in service.ts.
import { type Acl, aclHosts, type HostAddresses } from "../../lib/auks/acl.ts";
import { Accounts } from "./accounts.ts";
import { Authenticator } from "./authenticator.ts";
import { CacheDirectory } from "./cache_directory.ts";
import type { AuksdConfiguration } from "./configuration.ts";
import { foreignReplayCache } from "./replay_cache_file.ts";

/** A checked configuration, ready to be put in force. */
export interface Prepared {
  readonly configuration: AuksdConfiguration;
  readonly authenticator: Authenticator;
  readonly directory: CacheDirectory;
  readonly hosts: HostAddresses;
  readonly warnings: readonly string[];
}

/** Checks everything a configuration needs, without putting it in force. @throws {AuksError} */
export async function prepare(
  configuration: AuksdConfiguration,
  accounts: Accounts,
): Promise<Prepared> {
  const { config, server, keytab } = configuration;
  const directory = new CacheDirectory(config.auksd.cacheDir, config.own.sync);
  const warnings = [...configuration.warnings, ...directory.check()];
  const authenticator = Authenticator.open({
    principal: server.principal,
    keytab,
    replayCache: config.auksd.replayCache,
  });
  if (!authenticator.hasKey) {
    warnings.push(
      `${keytab} has no key for ${authenticator.principal}; without one, every client is refused`,
    );
  }
  const foreignCache = config.auksd.replayCache ? foreignReplayCache() : undefined;
  if (foreignCache !== undefined) warnings.push(foreignCache);
  const hosts = await lookUpHosts(configuration.acl, accounts, warnings);
  return { configuration, authenticator, directory, hosts, warnings };
}

/**
 * The checks of `auksd --check-config`.
 *
 * @returns the warnings.
 * @throws {AuksError} for anything that would keep it from starting; does not check the port.
 */
export async function checkConfiguration(
  configuration: AuksdConfiguration,
): Promise<readonly string[]> {
  const accounts = new Accounts(() => {});
  try {
    const { authenticator, warnings } = await prepare(configuration, accounts);
    authenticator.retire();
    return warnings;
  } finally {
    accounts.stop();
  }
}

/** The addresses of all hosts that an ACL names. @param warnings gets one for each host without any. */
export async function lookUpHosts(
  acl: Acl,
  accounts: Accounts,
  warnings: string[],
): Promise<HostAddresses> {
  const found = new Map<string, readonly Uint8Array[]>();
  await Promise.all(
    aclHosts(acl).map(async (host) => {
      const addresses = await accounts.addressesOf(host);
      if (addresses.length === 0) {
        warnings.push(`${host}, named in the ACL, has no address, so its rules match no client`);
      }
      found.set(host, addresses);
    }),
  );
  return found;
}
