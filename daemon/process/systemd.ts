// sd_notify: reports munged's state to the service manager that started it.
import { closeSync } from "node:fs";
import { openDatagramSocket, sendDatagram } from "../../lib/os/datagram.ts";

/** States of a service, as sd_notify(3) defines them. */
export type ServiceState = "READY=1" | "RELOADING=1" | "STOPPING=1" | `MAINPID=${number}`;

/** The variable with the socket on which the service manager listens. */
export const NOTIFY_SOCKET = "NOTIFY_SOCKET";

/**
 * Notifies the manager named by NOTIFY_SOCKET, if any. If the manager does not listen, its own timeout ends the
 * service.
 */
export function notifyManager(state: ServiceState): void {
  const path = process.env[NOTIFY_SOCKET];
  if (path === undefined || !/^[/@]/.test(path)) return;
  const fd = openDatagramSocket();
  try {
    sendDatagram(fd, path, state);
  } finally {
    closeSync(fd);
  }
}
