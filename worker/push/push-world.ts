/**
 * What a user's pushers reach: their rooms, and push gateways.
 *
 * Spec: push-gateway-api/#post_matrixpushv1notify. A gateway is wherever a user says; so requests go out capped in time and
 * bytes, follow no redirects, and reach no private address.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'

import type { PushWorld } from '../../durable-objects/user-sync/push-runner.ts'
import { forgetPushers } from '../accounts/pushers.ts'
import type { Env } from '../env.ts'
import { fetchGuarded, type FetchLimits, readCapped } from '../federation-client/fetch-capped.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'

const timeoutMs = 10_000
const maxBytes = 64 * 1024

export function pushWorld(env: Env, userId: UserId): PushWorld {
  const { allowPrivateAddresses } = settingsOf(env)
  const limits: FetchLimits = { timeoutMs, maxBytes, allowPrivateAddresses }
  return {
    userId,
    askRoom: (roomId, request) => roomOf(env, roomId).pushNews(request),
    stopRoom: (roomId) => roomOf(env, roomId).stopPushes({ user: userId }),
    forget: (keys) => forgetPushers(env, userId, keys),
    async post(url, body) {
      const target = URL.parse(url)
      if (!target) return undefined
      const headers = { 'Content-Type': 'application/json' }
      const request = { method: 'POST', headers, body: JSON.stringify(body) }
      const ending = new AbortController()
      const timer = setTimeout(() => ending.abort(), timeoutMs)
      try {
        const fetched = await fetchGuarded(target, request, { ...limits, signal: ending.signal })
        if (!fetched.ok) {
          console.warn('a push gateway was not reached', target.host, fetched.message)
          return undefined
        }
        const answer = await readCapped(fetched.response, maxBytes)
        return fetched.response.ok && answer.ok ? rejectedKeys(answer.bytes) : undefined
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

/** "A list of all pushkeys given in the notification request that are not valid." What is no such list rejects nothing. */
function rejectedKeys(bytes: Uint8Array): string[] {
  try {
    const answer: unknown = JSON.parse(new TextDecoder().decode(bytes))
    const rejected = isObject(answer) ? own(answer, 'rejected') : undefined
    return Array.isArray(rejected) ? rejected.filter((key) => typeof key === 'string') : []
  } catch {
    return []
  }
}
