// The file with the daemon's process ID. Scripts need it, but the daemon does not, so failures other than an insecure
// directory are only warnings.
import {
  closeSync,
  constants,
  fchmodSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { refuseDevice } from "../../lib/files/replacement.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { checkFile, type SecurityRules } from "../../lib/files/security.ts";
import type { Logger } from "./log.ts";

const PID_FILE_MODE = 0o644;
const PID_LINE = `${process.pid}\n`;

/**
 * Writes the process ID, a decimal number and a newline, to a new file.
 *
 * @throws {MungeError} if a directory above it is insecure.
 */
export function writePidFile(
  path: string,
  rules: SecurityRules,
  logger: Pick<Logger, "warning">,
): void {
  checkFile("pid", path, rules, logger);
  try {
    refuseDevice(path);
  } catch (error) {
    return logger.warning(`Failed to open PIDfile "${path}": ${systemText(error)}`);
  }
  const remove = () => {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      logger.warning(`Failed to remove PIDfile "${path}": ${systemText(error)}`);
    }
  };
  remove();
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  try {
    const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, PID_FILE_MODE);
    try {
      fchmodSync(fd, PID_FILE_MODE); // regardless of the umask
      writeSync(fd, PID_LINE);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    logger.warning(`Failed to open PIDfile "${path}": ${systemText(error)}`);
    remove();
  }
}

/** Removes the file when the daemon stops, unless it now belongs to another daemon. */
export function removePidFile(path: string, logger: Pick<Logger, "warning">): void {
  try {
    refuseDevice(path);
    if (readFileSync(path, "latin1") === PID_LINE) unlinkSync(path);
  } catch (error) {
    logger.warning(`Failed to remove pidfile "${path}": ${systemText(error)}`);
  }
}
