/** Runs at most `atOnce` tasks at a time, first come, first served. */
export function limiter(atOnce: number): <T>(task: () => Promise<T>) => Promise<T> {
  let free = atOnce
  const waiting: (() => void)[] = []
  return async (task) => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await task()
    } finally {
      // A place goes straight to the next in line.
      const next = waiting.shift()
      if (next) next()
      else free += 1
    }
  }
}
