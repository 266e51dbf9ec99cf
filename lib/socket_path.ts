// Where clients and munged meet.

/** Path of the socket that munged listens on unless told otherwise. */
export const DEFAULT_SOCKET_PATH = "/run/munge/munge.socket.2";
