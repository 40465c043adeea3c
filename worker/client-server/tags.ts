/**
 * Tags that a user gives to rooms.
 *
 * Spec: client-server-api/#room-tagging, data/api/client-server/tags.yaml. They are room account data of type `m.tag`.
 */
import * as v from 'valibot'

import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { demandSelf } from './account-data.ts'
import { jsonObject } from './parameters.ts'

/** "The name of a tag MUST NOT exceed 255 bytes." */
const maxTagBytes = 255

/** `order` says where in the list; other fields are kept. */
const tagBody = v.pipe(
  jsonObject,
  v.check(({ order }) => order === undefined || typeof order === 'number', 'order must be a number'),
)

/** Spec: client-server-api/#get_matrixclientv3useruseridroomsroomidtags */
export const getRoomTags = operation(
  'GET /_matrix/client/v3/user/:userId/rooms/:roomId/tags',
  { id: 'getRoomTags', auth: 'accessToken', r0: true },
  async ({ env, requester, path: { userId, roomId } }) => {
    demandSelf(requester, userId)
    return { tags: await userSyncOf(env, userId).tags(roomId) }
  },
)

/** Spec: client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag */
export const setRoomTag = operation(
  'PUT /_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag',
  { id: 'setRoomTag', auth: 'accessToken', body: tagBody, maxBody: 16 * 1024, r0: true },
  async ({ env, requester, path: { userId, roomId, tag }, body }) => {
    demandSelf(requester, userId)
    if (new TextEncoder().encode(tag).byteLength > maxTagBytes)
      refuse('invalid_param', 'The name of the tag is too long')
    await userSyncOf(env, userId).setTag({ roomId, tag, content: body })
    return {}
  },
)

/** Spec: client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag */
export const deleteRoomTag = operation(
  'DELETE /_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag',
  { id: 'deleteRoomTag', auth: 'accessToken', r0: true },
  async ({ env, requester, path: { userId, roomId, tag } }) => {
    demandSelf(requester, userId)
    await userSyncOf(env, userId).setTag({ roomId, tag })
    return {}
  },
)
