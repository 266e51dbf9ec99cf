// What goes between the renewer and its threads: a KRB-CRED to renew, and what came of it. Plain data.

/** A renewal to make. */
export interface KdcTask {
  readonly id: number;
  readonly krbCred: Uint8Array;
}

/** What came of it. */
export type KdcResult =
  & { readonly id: number }
  & (
    | { readonly krbCred: Uint8Array; readonly note: string | undefined }
    | {
      readonly failure: string;
      /** Whether no KDC answered at all. */
      readonly silent: boolean;
    }
  );
