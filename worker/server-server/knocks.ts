/** Other servers' users knock on rooms over us. Spec: server-server-api/#knocking-rooms. */
import { operation } from '../operation.ts'
import { jsonObject } from './bodies.ts'
import { accept, template } from './memberships.ts'

/** Spec: server-server-api/#get_matrixfederationv1make_knockroomiduserid */
export const makeKnock = operation(
  'GET /_matrix/federation/v1/make_knock/:roomId/:userId',
  { id: 'makeKnock', auth: 'server' },
  ({ env, path, query, requester: { origin } }) =>
    template(env, { origin, ...path, membership: 'knock', versions: query.getAll('ver') }),
)

/** Spec: server-server-api/#put_matrixfederationv1send_knockroomideventid */
export const sendKnock = operation(
  'PUT /_matrix/federation/v1/send_knock/:roomId/:eventId',
  { id: 'sendKnock', auth: 'server', body: jsonObject },
  async ({ env, path, body, requester: { origin } }) => {
    const { told } = await accept(env, { origin, ...path, membership: 'knock', body })
    return { knock_room_state: told }
  },
)
