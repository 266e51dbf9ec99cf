// The error for a libkrb5 that is missing or unusable. It is in a separate file, so that commands can recognize it without
// loading the code that calls libkrb5.

/** libkrb5 is missing or unusable; the message is one line for the user. */
export class KerberosUnavailable extends Error {
  override readonly name = "KerberosUnavailable";
}
