/** Reporting events, rooms and users. Spec: client-server-api/#reporting-content, report_content.yaml. */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { addReport } from '../accounts/reports.ts'
import { userExists } from '../accounts/users.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { isJoined } from '../room-permissions.ts'
import { roomOf } from '../rooms.ts'

/** A reason is for people to read: it need not be long. */
const maxBody = 65_536
const withReason = v.looseObject({ reason: v.string() })
/** `score` was part of it until version 1.18 of the specification. */
const eventReport = v.looseObject({
  reason: v.optional(v.string(), ''),
  score: v.optional(v.pipe(v.number(), v.integer())),
})

/** Spec: client-server-api/#post_matrixclientv3roomsroomidreporteventid */
export const reportEvent = operation(
  'POST /_matrix/client/v3/rooms/:roomId/report/:eventId',
  { id: 'reportEvent', auth: 'accessToken', body: eventReport, maxBody, r0: true },
  async ({ env, settings, requester: { userId: reporter }, path: { roomId, eventId }, body: { reason } }) => {
    limitUser('report', reporter, settings)
    const [joined, found] = await Promise.all([
      isJoined(env, roomId, reporter),
      roomOf(env, roomId).event({ reader: reporter, eventId }),
    ])
    // "The event was not found or you are not joined to the room where the event resides."
    if (!joined || !found.ok) refuse('unknown_event')
    await addReport(env, { reporter, roomId, eventId, reason })
    return {}
  },
)

/**
 * "Homeservers that wish to conceal this information MAY return 200 responses regardless of the existence of the reported
 * room": a private room's ID must not be found out by reporting it.
 *
 * Spec: client-server-api/#post_matrixclientv3roomsroomidreport
 */
export const reportRoom = operation(
  'POST /_matrix/client/v3/rooms/:roomId/report',
  {
    id: 'reportRoom',
    auth: 'accessToken',
    body: withReason,
    maxBody,
    aliases: ['/_matrix/client/unstable/org.matrix.msc4151/rooms/:roomId/report'],
  },
  async ({ env, settings, requester: { userId: reporter }, path: { roomId }, body: { reason } }) => {
    limitUser('report', reporter, settings)
    const facts = await roomOf(env, roomId).facts()
    if (facts.ok) await addReport(env, { reporter, roomId, reason })
    return {}
  },
)

/** Spec: client-server-api/#post_matrixclientv3usersuseridreport */
export const reportUser = operation(
  'POST /_matrix/client/v3/users/:userId/report',
  {
    id: 'reportUser',
    auth: 'accessToken',
    body: withReason,
    maxBody,
    aliases: ['/_matrix/client/unstable/org.matrix.msc4260/users/:userId/report'],
  },
  async ({ env, settings, requester: { userId: reporter }, path: { userId }, body: { reason } }) => {
    limitUser('report', reporter, settings)
    const isOurs = serverNameOf(userId) === settings.serverName
    if (isOurs && !(await userExists(env, userId))) refuse('not_found', 'The user was not found.')
    await addReport(env, { reporter, userId, reason })
    return {}
  },
)
