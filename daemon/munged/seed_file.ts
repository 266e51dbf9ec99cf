// The PRNG seed file. Our randomness comes from the kernel and needs no seed, but the file is still checked and
// rewritten, so that the C munged can take over on this host at any time.
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { refuseSpecialFile, replaceFile } from "../../lib/files/replacement.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { checkFile, type SecurityRules, statBreaches } from "../../lib/files/security.ts";
import type { Logger } from "../process/log.ts";

const SEED_LENGTH = 1024;
/** Bytes that the kernel supplies in addition. */
const KERNEL_SEED_LENGTH = 128;
const SEED_MODE = 0o600;

/**
 * Reads the seed file; removes it if others could have read or written it.
 *
 * @returns whether its directories are secure, so that {@linkcode writeSeedFile} may write it, and
 * whether there was enough of a seed.
 * @throws {MungeError} if a directory above it is insecure (with --force, only logs a warning).
 */
export function readSeedFile(
  path: string,
  rules: SecurityRules,
  logger: Logger,
): { isSecure: boolean; isSeeded: boolean } {
  let isSecure = true;
  let isSeeded = false;
  checkFile("seed", path, rules, {
    warning(text) {
      isSecure = false;
      logger.warning(text);
    },
  });
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let fd: number | undefined;
  try {
    const isLink = lstatSync(path).isSymbolicLink();
    if (!isLink) fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stats = fd === undefined ? statSync(path, { throwIfNoEntry: false }) : fstatSync(fd);
    const { fatal, breaches } = statBreaches(stats, isLink, "must");
    const breach = fatal ?? breaches[0];
    if (breach !== undefined) {
      logger.warning(`Ignoring PRNG seed "${path}": ${breach}`);
      removeInsecure(path, logger);
    } else if (fd !== undefined) {
      const count = readSync(fd, new Uint8Array(SEED_LENGTH));
      isSeeded = count > SEED_LENGTH - KERNEL_SEED_LENGTH; // enough in total, by the reference's standards
      if (count > 0) logger.info(`Seeded PRNG with ${count} bytes from "${path}"`);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { isSecure, isSeeded };
    logger.warning(`Failed to open PRNG seed "${path}": ${systemText(error)}`);
    removeInsecure(path, logger);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  return { isSecure, isSeeded };
}

function removeInsecure(path: string, logger: Logger): void {
  try {
    refuseSpecialFile(path);
    unlinkSync(path);
    logger.info(`Removed insecure PRNG seed "${path}"`);
  } catch (error) {
    logger.warning(`Failed to remove insecure PRNG seed "${path}": ${systemText(error)}`);
  }
}

/** Errors for which the reference, which removes the old seed first, fails twice. */
const UNREMOVABLE = new Set(["EACCES", "EISDIR", "ENOTDIR", "EPERM", "EROFS"]);

/** Replaces the seed file by one with fresh random bytes. */
export function writeSeedFile(path: string, logger: Logger): void {
  const seed = crypto.getRandomValues(new Uint8Array(SEED_LENGTH));
  try {
    replaceFile(path, seed, { mode: SEED_MODE });
    logger.info(`Wrote ${SEED_LENGTH} bytes to PRNG seed "${path}"`);
  } catch (error) {
    const text = `PRNG seed "${path}": ${systemText(error)}`;
    if (UNREMOVABLE.has((error as NodeJS.ErrnoException).code ?? "")) {
      logger.warning(`Failed to unlink old ${text}`);
    }
    logger.warning(`Failed to create ${text}`);
  } finally {
    seed.fill(0);
  }
}
