// Writes manual pages and completions to their places below a prefix's share directory.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AUKS_COMMANDS, type Command, COMMANDS } from "./commands.ts";
import { formatBash, formatFish, formatZsh } from "./completions.ts";
import { formatPage } from "./mdoc.ts";
import { AUKS_PAGES } from "./auks_pages.ts";
import type { Page } from "./page.ts";
import { PAGES } from "./pages.ts";

/** The date of the commit being built, so that the pages depend on nothing else. */
function commitDate(): string {
  const git = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const seconds = Number(process.env["SOURCE_DATE_EPOCH"] ?? git.stdout.toString());
  return new Date(seconds * 1000).toLocaleDateString("en-US", {
    dateStyle: "long",
    timeZone: "UTC",
  });
}

/** The manual pages and completions of a system. */
export interface Share {
  readonly pages: readonly Page[];
  readonly commands: readonly Command[];
}

/** MUNGE's, which every installation has. */
export const MUNGE_SHARE: Share = { pages: PAGES, commands: COMMANDS };
/** AUKS's, for packages of its own. */
export const AUKS_SHARE: Share = { pages: AUKS_PAGES, commands: AUKS_COMMANDS };

/** Replaces everything below `directory`. */
export function writeShare(directory: string, { pages, commands }: Share): void {
  rmSync(directory, { recursive: true, force: true });
  const write = (name: string, text: string) => {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const date = commitDate();
  for (const page of pages) {
    write(`man/man${page.section}/${page.name}.${page.section}`, `${formatPage(page, date)}\n`);
  }
  for (const command of commands) {
    write(`bash-completion/completions/${command.name}`, formatBash(command));
    write(`zsh/site-functions/_${command.name}`, formatZsh(command));
    write(`fish/vendor_completions.d/${command.name}.fish`, formatFish(command));
  }
}
