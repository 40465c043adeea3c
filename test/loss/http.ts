/** Requests as a client on a bad line makes them: they may be cut off, and say whether they were answered. */
export interface Answered {
  readonly status: number
  readonly body: unknown
}

export type Ask = (method: string, path: string, body?: object, cutAfter?: number) => Promise<Answered | undefined>

/** Asks as the holder of a token; undefined if there was no answer, be it cut off (after so many ms) or the server gone. */
export function asker(base: string, token?: string): Ask {
  return async (method, path, body, cutAfter) => {
    const headers: Record<string, string> = { 'Content-Type': 'application/json' }
    if (token !== undefined) headers['Authorization'] = `Bearer ${token}`
    const signal = AbortSignal.timeout(cutAfter ?? 40_000)
    try {
      const init = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
      const response = await fetch(`${base}/_matrix/client/v3${path}`, init)
      return { status: response.status, body: await response.json() }
    } catch {
      return undefined
    }
  }
}

/** Asks until there is an answer of success. Only for what may be asked twice. */
export async function insist(ask: Ask, method: string, path: string, body?: object): Promise<unknown> {
  for (let tries = 0; tries < 600; tries++) {
    const answered = await ask(method, path, body)
    if (answered?.status === 200) return answered.body
    // While it starts, a server may answer that it is not there.
    if (answered && answered.status < 500) throw new Error(`${method} ${path}: ${JSON.stringify(answered)}`)
    await new Promise((wake) => setTimeout(wake, 100))
  }
  throw new Error(`${method} ${path}: no answer`)
}
