/**
 * Following threads.
 *
 * Spec: MSC4306 (subscriptions), MSC4308 (their list). The user's object keeps them; the room says whether the thread is one
 * that the user may see.
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import * as v from 'valibot'

import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { threadSubscriptionsJson } from '../sync/thread-subscriptions-json.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { oneOf, wholeNumber } from './parameters.ts'

const path = '/_matrix/client/unstable/io.element.msc4306/rooms/:roomId/thread/:eventId/subscription'
const mostListed = 500

/** The event that gave cause to an automatic subscription; none for one by hand. */
const subscriptionBody = v.object({ automatic: v.optional(v.string()) })

/** Spec: MSC4306 */
export const getThreadSubscription = operation(
  `GET ${path}`,
  { id: 'getThreadSubscription', auth: 'accessToken' },
  async ({ env, requester: { userId }, path: { roomId, eventId: root } }) => {
    unwrap(await roomOf(env, roomId).threadPlace({ reader: userId, root }))
    const { automatic } = unwrap(await userSyncOf(env, userId).threadSubscription({ roomId, root }))
    return { automatic }
  },
)

/** Spec: MSC4306 */
export const subscribeToThread = operation(
  `PUT ${path}`,
  { id: 'subscribeToThread', auth: 'accessToken', body: subscriptionBody, bodyOptional: true },
  async ({ env, requester: { userId }, path: { roomId, eventId: root }, body }) => {
    const cause = body.automatic === undefined ? undefined : parseEventId(body.automatic)
    if (body.automatic !== undefined && !cause) refuse('invalid_param', 'automatic must be an event ID')
    const { causedAt } = unwrap(await roomOf(env, roomId).threadPlace({ reader: userId, root, cause }))
    unwrap(await userSyncOf(env, userId).subscribeToThread({ roomId, root, causedAt }))
    return {}
  },
)

/** Spec: MSC4306 */
export const unsubscribeFromThread = operation(
  `DELETE ${path}`,
  { id: 'unsubscribeFromThread', auth: 'accessToken' },
  async ({ env, requester: { userId }, path: { roomId, eventId: root } }) => {
    const { pos } = unwrap(await roomOf(env, roomId).threadPlace({ reader: userId, root }))
    await userSyncOf(env, userId).unsubscribeFromThread({ roomId, root, endedAt: pos })
    return {}
  },
)

/** Spec: MSC4308 */
export const listThreadSubscriptions = operation(
  'GET /_matrix/client/unstable/io.element.msc4308/thread_subscriptions',
  { id: 'listThreadSubscriptions', auth: 'accessToken' },
  async ({ env, requester: { userId }, query }) => {
    oneOf(query, 'dir', ['b'])
    const limit = wholeNumber(query, 'limit', 100, mostListed)
    if (limit === 0) refuse('invalid_param', 'limit must be greater than 0')
    const [from, to] = [query.get('from') ?? undefined, query.get('to') ?? undefined]
    const { changes, end } = unwrap(await userSyncOf(env, userId).threadSubscriptions({ from, to, limit }))
    // Both, also where they are empty: matrix-rust-sdk cannot read this answer without one of them.
    return { subscribed: {}, unsubscribed: {}, ...threadSubscriptionsJson(changes), ...(end === null ? {} : { end }) }
  },
)
