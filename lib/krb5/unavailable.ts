// The error for a libkrb5 that is missing or unusable. It has a file of its own, so that commands can recognize it without
// loading what calls libkrb5.

/** libkrb5 is missing or unusable; the message is one line for the user. */
export class KerberosUnavailable extends Error {
  override readonly name = "KerberosUnavailable";
}
