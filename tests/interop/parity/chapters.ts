// The table of cases, chapter by chapter. To add a case, add a line to a file in cases/.
import type { Chapter } from "./case.ts";
import { MUNGE } from "./cases/munge.ts";
import { MUNGED } from "./cases/munged.ts";
import { MUNGEKEY } from "./cases/mungekey.ts";
import { REMUNGE } from "./cases/remunge.ts";
import { SECURITY } from "./cases/security.ts";
import { UNMUNGE } from "./cases/unmunge.ts";

export const CHAPTERS: readonly Chapter[] = [MUNGE, UNMUNGE, MUNGED, SECURITY, MUNGEKEY, REMUNGE];
