// Default paths of MUNGE's files: those of the reference's packages on each system.

/** Directory of sockets and process IDs. */
export const RUN_DIRECTORY: string = process.platform === "linux" ? "/run/munge" : "/var/run/munge";
/** Directory of keys and configuration; on FreeBSD, software outside the base system is below /usr/local. */
export const CONFIG_DIRECTORY: string = process.platform === "freebsd"
  ? "/usr/local/etc/munge"
  : "/etc/munge";
/** Path of the socket that munged listens on unless told otherwise. */
export const DEFAULT_SOCKET: string = `${RUN_DIRECTORY}/munge.socket.2`;
