/** A binary heap: `pop` takes out the least value by the given comparison. Values must not change rank while inside. */
export class PriorityQueue<T> {
  readonly #heap: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  push(value: T): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(value)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || this.#compare(value, above) >= 0) break
      heap[at] = above
      at = parent
    }
    heap[at] = value
  }

  /** The least value, taken out; undefined when the queue is empty. */
  pop(): T | undefined {
    const heap = this.#heap
    const least = heap[0]
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return least
    let at = 0
    for (;;) {
      const left = heap[2 * at + 1]
      const right = heap[2 * at + 2]
      if (left === undefined) break
      const useRight = right !== undefined && this.#compare(right, left) < 0
      const child = useRight ? right : left
      if (this.#compare(last, child) <= 0) break
      heap[at] = child
      at = 2 * at + (useRight ? 2 : 1)
    }
    heap[at] = last
    return least
  }
}
