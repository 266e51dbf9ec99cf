// sd_notify: telling the service manager that started munged how it is.
import { closeSync } from "node:fs";
import { openDatagramSocket, sendDatagram } from "../../lib/os/datagram.ts";

/** States of a service, as sd_notify(3) defines them. */
export type ServiceState = "READY=1" | "RELOADING=1" | "STOPPING=1";

/**
 * Tells the manager named by NOTIFY_SOCKET; nothing without one. A manager that doesn't listen is its
 * own problem, and ends the service by its own timeout.
 */
export function notifyManager(state: ServiceState): void {
  const path = process.env["NOTIFY_SOCKET"];
  if (path === undefined || !/^[/@]/.test(path)) return;
  const fd = openDatagramSocket();
  try {
    sendDatagram(fd, path, state);
  } finally {
    closeSync(fd);
  }
}
