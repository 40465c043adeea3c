/**
 * Work that several requests of an isolate want at once and one of them does for all.
 *
 * A request that is cut off, say because its client went away, takes its promises with it: they never settle, and whoever
 * waits for one waits for ever. So nobody waits for the work of another request longer than `patienceMs`; after that they
 * do it themselves. Where only the result counts and doing it twice does no harm, keep the result and not a promise.
 */
import type { ExpiringMap } from './federation-client/expiring-map.ts'

/** Longer than a request to another server may take. */
const patienceMs = 20_000

/**
 * What `work` gives, or gave under this key within the last `rememberMs` milliseconds. A failure is not remembered, nor is a
 * result that is not `worthKeeping`.
 */
export async function sharedWork<Key, Value>(
  known: ExpiringMap<Key, Promise<Value>>,
  key: Key,
  rememberMs: number,
  work: () => Promise<Value>,
  {
    worthKeeping = () => true,
    patience = patienceMs,
  }: { worthKeeping?: (value: Value) => boolean; patience?: number } = {},
): Promise<Value> {
  const others = known.get(key, Date.now())
  const settled = others && (await within(others, patience))
  if (settled) return settled.value
  const mine = work()
  known.set(key, mine, Date.now() + rememberMs)
  const forget = () => known.get(key, Date.now()) === mine && known.delete(key)
  try {
    const value = await mine
    if (!worthKeeping(value)) forget()
    return value
  } catch (error) {
    forget()
    throw error
  }
}

/** The value, if it comes in time. */
async function within<Value>(promise: Promise<Value>, ms: number): Promise<{ readonly value: Value } | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise.then((value) => ({ value })), late])
  } finally {
    clearTimeout(timer)
  }
}
