/**
 * Servers that could not be reached a moment ago, in this isolate's memory: whoever asks many servers at once does not wait for
 * them again at once, and they do not take the place of living ones. A Worker opens few connections at a time.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import { Lru } from '../../durable-objects/shared/lru.ts'

const firstSilenceMs = 2_000
/** A server that is back is asked soon. */
const longestSilenceMs = 15_000
const silent = new Lru<ServerName, { readonly until: number; readonly ms: number }>(5000)

/** Whether a server is not worth asking. `now` in ms, as below. */
export function isSilent(server: ServerName, now: number): boolean {
  return (silent.get(server)?.until ?? 0) > now
}

/** It did not answer: it is left alone for twice as long as the last time. */
export function noteSilence(server: ServerName, now: number): void {
  const ms = Math.min((silent.get(server)?.ms ?? firstSilenceMs / 2) * 2, longestSilenceMs)
  silent.set(server, { until: now + ms, ms })
}

/** It answered, or asked something itself. */
export function noteVoice(server: ServerName): void {
  silent.delete(server)
}
