// Where MUNGE's files are by default: as the reference is packaged on each system.

/** Directory of sockets and process IDs. */
export const RUN_DIRECTORY: string = process.platform === "linux" ? "/run/munge" : "/var/run/munge";
/** Directory of keys and configuration; FreeBSD has what is no part of it below /usr/local. */
export const CONFIG_DIRECTORY: string = process.platform === "freebsd"
  ? "/usr/local/etc/munge"
  : "/etc/munge";
/** Path of the socket that munged listens on unless told otherwise. */
export const DEFAULT_SOCKET: string = `${RUN_DIRECTORY}/munge.socket.2`;
