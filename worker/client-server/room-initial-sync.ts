/** A look at a room as it is now. Spec: client-server-api/#room-previews, data/api/client-server/room_initial_sync.yaml. */
import { own } from '#protocol/json/json.ts'

import { isPublished } from '../accounts/public-rooms.ts'
import { operation } from '../operation.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { ignoredBy } from './history-reader.ts'
import { wholeNumber } from './parameters.ts'

/** Spec: client-server-api/#get_matrixclientv3roomsroomidinitialsync */
export const roomInitialSync = operation(
  'GET /_matrix/client/v3/rooms/:roomId/initialSync',
  { id: 'roomInitialSync', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester: { userId: reader, deviceId }, path: { roomId }, query }) => {
    const room = roomOf(env, roomId)
    const limit = wholeNumber(query, 'limit', 20, 100)
    const ignoredUsers = await ignoredBy(env, reader)
    const { events: state } = unwrapAsMember(await room.stateEvents({ reader }))
    const page = unwrapAsMember(await room.messages({ reader, deviceId, dir: 'b', limit, ignoredUsers }))
    const mine = state.find(({ type, state_key }) => type === 'm.room.member' && state_key === reader)
    const membership = mine && own(mine.content, 'membership')
    return {
      room_id: roomId,
      ...(membership === undefined ? {} : { membership }),
      // Read backwards: its end is where earlier events begin.
      messages: {
        ...(page.end === undefined ? {} : { start: page.end }),
        end: page.start,
        chunk: [...page.chunk].reverse(),
      },
      state,
      visibility: (await isPublished(env, roomId)) ? 'public' : 'private',
      account_data: await userSyncOf(env, reader).roomAccountData(roomId),
    }
  },
)
