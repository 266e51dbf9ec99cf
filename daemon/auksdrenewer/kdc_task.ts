// What the renewer and its threads exchange, as plain data: a KRB-CRED to renew, and the outcome.

/** A renewal to make. */
export interface KdcTask {
  readonly id: number;
  readonly krbCred: Uint8Array;
}

/** Its outcome. */
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
