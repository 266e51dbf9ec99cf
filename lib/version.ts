// The versions shown by -V, the log and the manual pages.

/** The release of MUNGE this project is compatible with. */
export const COMPATIBLE_VERSION = "0.5.18";
/** Our own release, the same as in package.json. */
export const VERSION = "0.1.0";

/** What `-V` of every applet prints: `munge-0.5.18 (mungebox 0.1.0)`. */
export const VERSION_LINE = `munge-${COMPATIBLE_VERSION} (mungebox ${VERSION})`;
