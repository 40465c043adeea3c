/**
 * What a user's pushers reach: their rooms, push gateways, push services of browsers, and mail.
 *
 * Spec: push-gateway-api/#post_matrixpushv1notify; MSC4174 with RFC 8030 for browsers. A gateway is wherever a user says; so
 * requests go out capped in time and bytes, follow no redirects, and reach no private address.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { parseEmailAddress } from '#protocol/identifiers/email-address.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'

import type { Delivery, PushWorld } from '../../durable-objects/user-sync/push-runner.ts'
import { forgetPushers } from '../accounts/pushers.ts'
import { ownerOfAddress } from '../accounts/threepids.ts'
import { vapidKey } from '../accounts/vapid-key.ts'
import type { Env } from '../env.ts'
import { fetchGuarded, type FetchLimits, readCapped } from '../federation-client/fetch-capped.ts'
import { digestLetter } from '../mail/digest-letter.ts'
import { mailerOf } from '../mail/mail.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
import { unsubscribeUrl } from './unsubscribe-url.ts'
import { bytesOf, encryptPush, freshEphemeral } from './web-push/encrypt.ts'
import { vapidHeader } from './web-push/vapid.ts'

const timeoutMs = 10_000
const maxBytes = 64 * 1024
/** Seconds for which a push service keeps what it cannot deliver. */
const timeToLive = 86_400

export function pushWorld(env: Env, userId: UserId): PushWorld {
  const settings = settingsOf(env)
  const { allowPrivateAddresses, publicUrl, serverName } = settings

  /** The answer, or undefined where there was none; `read` has to be done with it within the time. */
  async function request<T>(url: string, init: RequestInit, read: (response: Response) => Promise<T>) {
    const target = URL.parse(url)
    if (!target) return undefined
    const ending = new AbortController()
    const timer = setTimeout(() => ending.abort(), timeoutMs)
    const limits: FetchLimits = { timeoutMs, maxBytes, allowPrivateAddresses, signal: ending.signal }
    try {
      const fetched = await fetchGuarded(target, { method: 'POST', ...init }, limits)
      if (fetched.ok) return await read(fetched.response)
      console.warn('a push gateway was not reached', target.host, fetched.message)
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    userId,
    askRoom: (roomId, asked) => roomOf(env, roomId).pushNews(asked),
    stopRoom: (roomId) => roomOf(env, roomId).stopPushes({ user: userId }),
    forget: (keys) => forgetPushers(env, userId, keys),

    async post({ pushkey, data: { url } }, body) {
      if (typeof url !== 'string') return 'failed'
      const headers = { 'Content-Type': 'application/json' }
      const rejected = await request(url, { headers, body: JSON.stringify(body) }, async (response) => {
        const answer = await readCapped(response, maxBytes)
        return response.ok && answer.ok ? rejectedKeys(answer.bytes) : undefined
      })
      return rejected === undefined ? 'failed' : rejected.includes(pushkey) ? 'gone' : 'taken'
    },

    async pushToBrowser({ pushkey, data: { url, auth } }, { text, urgency, topic }) {
      const target = typeof url === 'string' ? URL.parse(url) : null
      const keys = [pushkey, auth].map((key) => Uint8Array.from((typeof key === 'string' && decodeBase64(key)) || []))
      const [publicKey, secret] = keys
      if (!target || !publicKey || !secret) return 'gone'
      const body = await encryptPush(bytesOf(text), { publicKey, auth: secret }, await freshEphemeral())
      if (!body) return 'gone'
      const headers = {
        'Content-Type': 'application/octet-stream',
        'Content-Encoding': 'aes128gcm',
        TTL: String(timeToLive),
        Urgency: urgency,
        ...(topic === undefined ? {} : { Topic: topic }),
        Authorization: await vapidHeader(await vapidKey(env), target, publicUrl, Date.now()),
      }
      const status = await request(target.href, { headers, body }, async (response) => {
        await response.body?.cancel()
        return response.status
      })
      return deliveryOf(status)
    },

    async mail({ fields: { pushkey }, secret = '' }, { rooms }) {
      const address = parseEmailAddress(pushkey)
      // Whose address it is may have changed since the pusher was set.
      if (!address || (await ownerOfAddress(env, address)) !== userId) return 'gone'
      const mailer = mailerOf(env)
      // The owner ended it: nothing is to wait for that.
      if (!mailer) return 'taken'
      const unsubscribe = unsubscribeUrl(publicUrl, userId, secret)
      const isSent = await mailer({ to: address, ...digestLetter({ serverName, userId, rooms, unsubscribe }) })
      return isSent ? 'taken' : 'failed'
    },
  }
}

/** "The homeserver deletes the registration if it receives a 404, 410 or 403." What is too large is so the next time as well. */
function deliveryOf(status: number | undefined): Delivery {
  if (status === undefined) return 'failed'
  if (status === 403 || status === 404 || status === 410) return 'gone'
  return (status >= 200 && status < 300) || status === 413 ? 'taken' : 'failed'
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
