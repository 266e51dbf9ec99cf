// Syncs a directory to disk, and with it the names of new, renamed and removed files. Their contents are synced by the code
// that writes them.
import { fs } from "../os/file_system.ts";

/** Syncs the names in a directory to disk. @throws the system's error. */
export function syncDirectory(directory: string): void {
  const { O_RDONLY, O_DIRECTORY } = fs().constants;
  const fd = fs().openSync(directory, O_RDONLY | O_DIRECTORY);
  try {
    fs().fsyncSync(fd);
  } finally {
    fs().closeSync(fd);
  }
}
