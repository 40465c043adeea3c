/** Says every few seconds how far a long piece of work has come. On the error output, which the figures are not on. */
const everyMs = 5_000

/** To be called with how much is done, of `total`. */
export function progress(what: string, total: number): (done: number) => void {
  let last = Date.now()
  return (done) => {
    if (Date.now() - last < everyMs) return
    last = Date.now()
    console.error(`  ${what}: ${done} of ${total}`)
  }
}

/** Does `work` for each number below `count`, so many at once. */
export async function many(
  what: string,
  count: number,
  atOnce: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  const note = progress(what, count)
  const numbers = Array.from({ length: count }, (_, n) => n).values()
  const worker = async () => {
    for (const n of numbers) {
      await work(n)
      note(n)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
}
