/**
 * Events that are sent later: MSC4140 (unstable), without which Element Call leaves ghosts in calls.
 *
 * Changing one needs no token: its ID is the secret, so that a call's media server can keep it from being sent.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import type { DelayedAction } from '../../durable-objects/room/delayed/delayed-events.ts'
import { checkDelay, roomOfDelayed, sendLater } from '../delayed-events.ts'
import type { Env } from '../env.ts'
import { limitAddress, limitUser } from '../middleware/rate-limit.ts'
import { type Call, operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject, oneOf } from './parameters.ts'

const base = '/_matrix/client/unstable/org.matrix.msc4140'
const roomsAtOnce = 10

export const sendDelayedEvent = operation(
  `PUT ${base}/rooms/:roomId/delayed_event/:eventType/:txnId`,
  {
    id: 'sendDelayedEvent',
    auth: 'accessToken',
    guests: true,
    body: v.looseObject({ delay: v.number(), state_key: v.optional(v.string()), content: jsonObject }),
  },
  ({ env, requester, path: { roomId, eventType: type, txnId }, body: { delay, state_key: stateKey, content } }) =>
    sendLater(env, requester, { roomId, type, txnId, stateKey, content, delay: checkDelay(delay) }),
)

export const getDelayedEvents = operation(
  `GET ${base}/delayed_events`,
  { id: 'getDelayedEvents', auth: 'accessToken', guests: true },
  async ({ env, settings, requester: { userId }, query }) => {
    limitUser('delayed', userId, settings)
    const wanted = new Set(query.getAll('delay_id'))
    const { waiting, finalised } = await eventsOf(env, userId)
    const isWanted = (delayId: string) => wanted.size === 0 || wanted.has(delayId)
    const status = oneOf(query, 'status', ['scheduled', 'finalised'])
    const scheduled = status === 'finalised' ? [] : waiting.filter(({ delay_id }) => isWanted(delay_id))
    const ended = status === 'scheduled' ? [] : finalised.filter((each) => isWanted(each.delayed_event.delay_id))
    // By the names of the proposal's several states: clients of each are in use.
    return { delayed_events: scheduled, scheduled, finalised_events: ended, finalised: ended }
  },
)

/** What became of events lately. */
export const getFinalisedEvents = operation(
  `GET ${base}/delayed_events/finalised`,
  { id: 'getFinalisedEvents', auth: 'accessToken', guests: true },
  async ({ env, settings, requester: { userId } }) => {
    limitUser('delayed', userId, settings)
    return { finalised_events: (await eventsOf(env, userId)).finalised }
  },
)

export const getDelayedEvent = operation(
  `GET ${base}/delayed_events/:delayId`,
  { id: 'getDelayedEvent', auth: 'accessToken', guests: true },
  async ({ env, settings, requester: { userId: user }, path: { delayId } }) => {
    limitUser('delayed', user, settings)
    const { waiting, finalised } = await roomOf(env, roomIn(delayId)).delayedEvents({ user })
    const scheduled = waiting.find(({ delay_id }) => delay_id === delayId)
    if (scheduled) return scheduled
    const ended = finalised.find(({ delayed_event }) => delayed_event.delay_id === delayId)
    if (!ended) return refuse('not_found', 'You have no such delayed event')
    const { delayed_event, ...end } = ended
    return { ...delayed_event, finalised: end }
  },
)

/** The older form, with the action in the body. */
export const updateDelayedEvent = operation(
  `POST ${base}/delayed_events/:delayId`,
  {
    id: 'updateDelayedEvent',
    auth: 'none',
    body: v.looseObject({ action: v.picklist(['send', 'cancel', 'restart']) }),
  },
  (call) => update(call, call.body.action),
)

const byPath = (action: DelayedAction) =>
  operation(`POST ${base}/delayed_events/:delayId/${action}`, { id: `${action}DelayedEvent`, auth: 'none' }, (call) =>
    update(call, action),
  )
export const updateByPath = [byPath('send'), byPath('cancel'), byPath('restart')]

type Asked = Pick<Call<'/:delayId', 'none', unknown>, 'env' | 'settings' | 'request' | 'path'>

async function update({ env, settings, request, path: { delayId } }: Asked, action: DelayedAction) {
  limitAddress('delayed', request, settings)
  unwrap(await roomOf(env, roomIn(delayId)).updateDelayed({ delayId, action }))
  return {}
}

function roomIn(delayId: string): RoomId {
  return roomOfDelayed(delayId) ?? refuse('not_found', 'There is no such delayed event')
}

/** A user's events in all rooms. */
async function eventsOf(env: Env, user: UserId) {
  const object = userSyncOf(env, user)
  const rooms = await object.delayedRooms()
  const found: { roomId: RoomId; events: Awaited<ReturnType<ReturnType<typeof roomOf>['delayedEvents']>> }[] = []
  for (let at = 0; at < rooms.length; at += roomsAtOnce) {
    const some = rooms.slice(at, at + roomsAtOnce)
    const events = some.map(async (roomId) => ({ roomId, events: await roomOf(env, roomId).delayedEvents({ user }) }))
    found.push(...(await Promise.all(events)))
  }
  const empty = found.filter(({ events }) => events.waiting.length + events.finalised.length === 0)
  if (empty.length > 0) await object.forgetDelayedRooms(empty.map(({ roomId }) => roomId))
  return {
    waiting: found.flatMap(({ events }) => events.waiting),
    finalised: found.flatMap(({ events }) => events.finalised).toSorted((a, b) => b.finalised_ts - a.finalised_ts),
  }
}
