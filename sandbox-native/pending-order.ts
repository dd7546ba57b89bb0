/** An order that the launcher has not answered yet. */
export interface PendingOrder {
  resolve(body: Uint8Array): void;
  reject(error: unknown): void;
  onLog?(bytes: Uint8Array): void;
  readonly name?: string | undefined;
}

/** A listener that throws must not keep the messages after this one from being taken. */
export function tell(pending: PendingOrder, log: Uint8Array): void {
  try {
    pending.onLog?.(log);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
