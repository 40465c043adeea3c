/** Other servers' users leave rooms, or reject invites, over us. Spec: server-server-api/#leaving-rooms-rejecting-invites. */
import { operation } from '../operation.ts'
import { jsonObject } from './bodies.ts'
import { accept, template } from './memberships.ts'

/** Spec: server-server-api/#get_matrixfederationv1make_leaveroomiduserid */
export const makeLeave = operation(
  'GET /_matrix/federation/v1/make_leave/:roomId/:userId',
  { id: 'makeLeave', auth: 'server' },
  ({ env, path, requester: { origin } }) => template(env, { origin, ...path, membership: 'leave' }),
)

/** Spec: server-server-api/#put_matrixfederationv2send_leaveroomideventid */
export const sendLeaveV2 = operation(
  'PUT /_matrix/federation/v2/send_leave/:roomId/:eventId',
  { id: 'sendLeaveV2', auth: 'server', body: jsonObject },
  async ({ env, path, body, requester: { origin } }) => {
    await accept(env, { origin, ...path, membership: 'leave', body })
    return {}
  },
)

/** Deprecated form. Spec: server-server-api/#put_matrixfederationv1send_leaveroomideventid */
export const sendLeaveV1 = operation(
  'PUT /_matrix/federation/v1/send_leave/:roomId/:eventId',
  { id: 'sendLeaveV1', auth: 'server', body: jsonObject },
  async ({ env, path, body, requester: { origin } }) => {
    await accept(env, { origin, ...path, membership: 'leave', body })
    return [200, {}]
  },
)
