/** Other servers join rooms over us. Spec: server-server-api/#joining-rooms. */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import * as v from 'valibot'

import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
import { jsonObject } from './bodies.ts'
import { accept, template } from './memberships.ts'

/** Spec: server-server-api/#get_matrixfederationv1make_joinroomiduserid */
export const makeJoin = operation(
  'GET /_matrix/federation/v1/make_join/:roomId/:userId',
  { id: 'makeJoin', auth: 'server' },
  ({ env, path, query, requester: { origin } }) => {
    // "ver: if not provided, the resident server should assume room version 1".
    const given = query.getAll('ver')
    const versions = given.length > 0 ? given : ['1']
    return template(env, { origin, ...path, membership: 'join', versions })
  },
)

/** Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid */
export const sendJoinV2 = operation(
  'PUT /_matrix/federation/v2/send_join/:roomId/:eventId',
  { id: 'sendJoinV2', auth: 'server', body: jsonObject },
  async ({ env, path, query, body, requester: { origin } }) => {
    const omitMembers = query.get('omit_members') === 'true'
    return joined(env, { origin, ...path, body, omitMembers })
  },
)

/** Deprecated form: the same answer as second entry of an array. Spec: #put_matrixfederationv1send_joinroomideventid */
export const sendJoinV1 = operation(
  'PUT /_matrix/federation/v1/send_join/:roomId/:eventId',
  { id: 'sendJoinV1', auth: 'server', body: v.pipe(jsonObject) },
  async ({ env, path, body, requester: { origin } }) => {
    const answer = await joined(env, { origin, ...path, body, omitMembers: false })
    return new Response(wrapped('[200,', answer.body, ']'), { headers: answer.headers })
  },
)

interface SentJoin {
  readonly origin: ServerName
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly body: JsonObject
  readonly omitMembers: boolean
}

/** The room's state before the join and its auth chain, streamed from the room. */
async function joined(env: Env, { omitMembers, ...sent }: SentJoin): Promise<Response> {
  const { event, stateBefore } = await accept(env, { ...sent, membership: 'join' })
  const head = { origin: settingsOf(env).serverName, event }
  const answer = await roomOf(env, sent.roomId).fetch('https://room/join-state', {
    method: 'POST',
    body: JSON.stringify({ stateBefore, omitMembers, joiner: sent.origin, head }),
  })
  return new Response(answer.body, { headers: { 'Content-Type': 'application/json' } })
}

function wrapped(before: string, body: ReadableStream<Uint8Array> | null, after: string): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(before)),
    flush: (controller) => controller.enqueue(new TextEncoder().encode(after)),
  })
  void body?.pipeTo(writable).catch(() => undefined)
  return readable
}
