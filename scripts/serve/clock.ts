/** The clock of a local run: locally no cron trigger of wrangler.toml ever fires by itself. */
import type { Miniflare } from 'miniflare'

const hourMs = 3_600_000

/** Has the Worker tidy up every hour. The answer stops that. */
export function startClock(runtime: Miniflare): () => void {
  const timer = setInterval(() => void tick(runtime), hourMs)
  return () => clearInterval(timer)
}

/** One time of it. */
export async function tick(runtime: Miniflare): Promise<void> {
  try {
    const worker = await runtime.getWorker()
    await worker.scheduled({ cron: '17 * * * *' })
  } catch (error) {
    console.error('tidying up failed', error)
  }
}
