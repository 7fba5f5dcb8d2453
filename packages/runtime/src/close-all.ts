/** Collects what must be closed, and closes it last in, first out; a fault of one does not keep the others open. */
export interface Closing {
  add(close: () => Promise<void> | void): void;
  closeAll(): Promise<void>;
}

export function createClosing(): Closing {
  const closers: (() => Promise<void> | void)[] = [];
  return {
    add: (close) => void closers.push(close),
    async closeAll() {
      const faults: unknown[] = [];
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
        try {
          await close();
        } catch (error) {
          faults.push(error);
        }
      }
      if (faults.length > 0) throw new AggregateError(faults, "not everything could be closed");
    },
  };
}
