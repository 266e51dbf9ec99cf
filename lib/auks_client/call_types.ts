// What the functions of mungebox/auks take and give.

/** How auksd is found, and who asks. */
export interface AuksOptions {
  /** The configuration; that of `AUKS_CONF`, `/etc/auks/auks.conf` or `/etc/auks.conf` unless given. */
  readonly config?: string | undefined;
  /** The credential cache to authenticate with, `TYPE:REST` or a path; the default one unless given. */
  readonly ccache?: string | undefined;
}

/** What `add()` sends. */
export interface AddOptions extends AuksOptions {
  /** The credential cache with the ticket; the default one unless given. */
  readonly from?: string | undefined;
}

/** What `get()` does with the ticket. */
export interface GetOptions extends AuksOptions {
  /** The credential cache to fill with it. Without, the ticket is looked at only. */
  readonly into?: string | undefined;
}

/** A ticket that auksd keeps. */
export interface ForwardedTicket {
  /** The user it is kept for. */
  readonly uid: number;
  /** Whose it is, `bob@REALM.A`. */
  readonly principal: string;
  /** When it became good. */
  readonly startTime: Date;
  /** When it ends. */
  readonly endTime: Date;
  /** Until when it can be renewed; undefined if it can't be. */
  readonly renewUntil: Date | undefined;
}

/** What became of a ticket that was added. */
export interface AddedTicket {
  /** Whose it is. */
  readonly principal: string;
  /** The user whom this host maps the principal to. */
  readonly uid: number;
  /** When the ticket that was sent ends. */
  readonly endTime: Date;
  /** Whether auksd took it, or kept the better one it had; undefined if it is the original's, which does not say. */
  readonly outcome: "stored" | "kept" | undefined;
}
