/** The first request to a deployed Worker, by which it brings its database up to date. A new domain needs some patience. */
import { messageOf } from '../command-line.ts'
import { isObject, own } from '../../worker/protocol/json/json.ts'

/** Undefined once the server answers as a homeserver; else the last reason why not. `wait` is in milliseconds. */
export async function wake(publicUrl: string, { tries = 24, wait = 5000 } = {}): Promise<string | undefined> {
  let reason = 'not asked'
  for (let attempt = 0; attempt < tries; attempt++) {
    if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    try {
      const response = await fetch(`${publicUrl}/_matrix/client/versions`, { signal: AbortSignal.timeout(20_000) })
      const answer: unknown = await response.json()
      if (response.ok && isObject(answer) && Array.isArray(own(answer, 'versions'))) return undefined
      reason = `HTTP ${response.status}`
    } catch (error) {
      reason = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
    }
  }
  return reason
}
