/** History and single events for other servers. Spec: server-server-api/#backfilling-and-retrieving-missing-events, #retrieving-events. */
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import * as v from 'valibot'

import { knownRooms } from '../accounts/known-rooms.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'

/** Spec: server-server-api/#get_matrixfederationv1backfillroomid */
export const backfillRoom = operation(
  'GET /_matrix/federation/v1/backfill/:roomId',
  { id: 'backfillRoom', auth: 'server' },
  async ({ env, path: { roomId }, query, requester: { origin } }) => {
    const from = query.getAll('v').flatMap((id) => parseEventId(id) ?? [])
    const limit = Number(query.get('limit'))
    if (from.length === 0 || !Number.isSafeInteger(limit) || limit < 1)
      return refuse('invalid_param', 'v and limit are needed')
    const { pdus } = unwrap(await roomOf(env, roomId).backfillForServer({ origin, from, limit }))
    return { origin: settingsOf(env).serverName, origin_server_ts: Date.now(), pdus }
  },
)

const count = v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)))
const eventIds = v.pipe(
  v.array(v.string()),
  v.transform((ids): EventId[] => ids.flatMap((id) => parseEventId(id) ?? [])),
)

/** Spec: server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
export const getMissingPreviousEvents = operation(
  'POST /_matrix/federation/v1/get_missing_events/:roomId',
  {
    id: 'getMissingPreviousEvents',
    auth: 'server',
    body: v.looseObject({ earliest_events: eventIds, latest_events: eventIds, limit: count, min_depth: count }),
  },
  async ({ env, path: { roomId }, body, requester: { origin } }) => {
    const { earliest_events: earliest, latest_events: latest, limit = 10, min_depth: minDepth = 0 } = body
    const asked = { earliest, latest, limit: Math.min(limit, 20), minDepth }
    const { events } = unwrap(await roomOf(env, roomId).missingForServer({ origin, ...asked }))
    return { events }
  },
)

/** Rooms asked at once for an event of which only the ID is known. */
const atOnce = 10

/** Spec: server-server-api/#get_matrixfederationv1eventeventid */
export const getEvent = operation(
  'GET /_matrix/federation/v1/event/:eventId',
  { id: 'getEvent', auth: 'server' },
  async ({ env, path: { eventId }, requester: { origin } }) => {
    // The path names no room, and an index of all events would cost more rows than all else together: the rooms are asked.
    const rooms = await knownRooms(env)
    for (let at = 0; at < rooms.length; at += atOnce) {
      const asked = rooms.slice(at, at + atOnce)
      const answers = await Promise.all(asked.map((roomId) => roomOf(env, roomId).eventForServer({ origin, eventId })))
      const found = answers.find((answer) => answer.ok)
      if (found?.ok) return { origin: settingsOf(env).serverName, origin_server_ts: Date.now(), pdus: [found.event] }
    }
    return refuse('unknown_event')
  },
)

const atEvent = (query: URLSearchParams): EventId =>
  parseEventId(query.get('event_id')) ?? refuse('missing_param', 'event_id is needed')

/** Spec: server-server-api/#get_matrixfederationv1stateroomid */
export const getRoomState = operation(
  'GET /_matrix/federation/v1/state/:roomId',
  { id: 'getRoomState', auth: 'server' },
  async ({ env, path: { roomId }, query, requester: { origin } }) => {
    const body = JSON.stringify({ origin, eventId: atEvent(query) })
    const answer = await roomOf(env, roomId).fetch('https://room/state', { method: 'POST', body })
    return new Response(answer.body, { status: answer.status, headers: { 'Content-Type': 'application/json' } })
  },
)

/** Spec: server-server-api/#get_matrixfederationv1state_idsroomid */
export const getRoomStateIds = operation(
  'GET /_matrix/federation/v1/state_ids/:roomId',
  { id: 'getRoomStateIds', auth: 'server' },
  async ({ env, path: { roomId }, query, requester: { origin } }) => {
    const { pdu_ids, auth_chain_ids } = unwrap(
      await roomOf(env, roomId).stateIdsForServer({ origin, eventId: atEvent(query) }),
    )
    return { pdu_ids, auth_chain_ids }
  },
)

/** Spec: server-server-api/#get_matrixfederationv1event_authroomideventid */
export const getEventAuthorization = operation(
  'GET /_matrix/federation/v1/event_auth/:roomId/:eventId',
  { id: 'getEventAuthorization', auth: 'server' },
  async ({ env, path: { roomId, eventId }, requester: { origin } }) => {
    const body = JSON.stringify({ origin, authOf: eventId })
    const answer = await roomOf(env, roomId).fetch('https://room/event-auth', { method: 'POST', body })
    return new Response(answer.body, { status: answer.status, headers: { 'Content-Type': 'application/json' } })
  },
)
