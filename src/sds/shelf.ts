/** Gives back what stands under these owners and this label, or puts there what `make` returns; undefined is not kept. */
export type Shelf<Value extends object | true> = <Made extends Value | undefined>(
  owners: readonly object[],
  label: string,
  make: () => Made,
) => Made | Value;

interface Board<Value> {
  readonly labels: Map<string, Value>;
  readonly next: WeakMap<object, Board<Value>>;
}

/** A cache whose entries live as long as all of their owners: nothing to evict, nothing to leak. */
export function shelf<Value extends object | true>(): Shelf<Value> {
  const root: Board<Value> = emptyBoard();
  return (owners, label, make) => {
    let board = root;
    for (const owner of owners) {
      const next = board.next.get(owner) ?? emptyBoard<Value>();
      board.next.set(owner, next);
      board = next;
    }
    const known = board.labels.get(label);
    if (known !== undefined) return known;
    const made = make();
    if (made !== undefined) board.labels.set(label, made);
    return made;
  };
}

function emptyBoard<Value>(): Board<Value> {
  return { labels: new Map(), next: new WeakMap() };
}
