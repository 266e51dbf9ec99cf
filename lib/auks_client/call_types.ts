// Arguments and results of the functions of mungebox/auks.

/** Where auksd is, and who is asking. */
export interface AuksOptions {
  /** The configuration file; by default `AUKS_CONF`, `/etc/auks/auks.conf` or `/etc/auks.conf`. */
  readonly config?: string | undefined;
  /** The credential cache to authenticate with, `TYPE:REST` or a path; by default the default cache. */
  readonly ccache?: string | undefined;
}

/** What `add()` sends. */
export interface AddOptions extends AuksOptions {
  /** The credential cache with the ticket; by default the default cache. */
  readonly from?: string | undefined;
}

/** What `get()` does with the ticket. */
export interface GetOptions extends AuksOptions {
  /** The credential cache to fill with it. Without it, the ticket is only examined. */
  readonly into?: string | undefined;
}

/** A ticket that auksd keeps. */
export interface ForwardedTicket {
  /** The user it belongs to. */
  readonly uid: number;
  /** The principal, such as `bob@REALM.A`. */
  readonly principal: string;
  /** When it becomes valid. */
  readonly startTime: Date;
  /** When it expires. */
  readonly endTime: Date;
  /** Until when it can be renewed; undefined if it is not renewable. */
  readonly renewUntil: Date | undefined;
}

/** The outcome of adding a ticket. */
export interface AddedTicket {
  /** Its principal. */
  readonly principal: string;
  /** The user to which this host maps the principal. */
  readonly uid: number;
  /** When the ticket that was sent expires. */
  readonly endTime: Date;
  /** Whether auksd stored it or kept a better one; undefined for the original auksd, which does not say. */
  readonly outcome: "stored" | "kept" | undefined;
}
