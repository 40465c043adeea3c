/**
 * In which rooms users of other servers are. Kept by the rooms (durable-objects/room/federation/remote-member-index.ts),
 * read when news of somebody's devices comes.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { MemberList } from '../../durable-objects/room/federation/remote-member-index.ts'
import type { Env } from '../env.ts'
import { remoteMembers } from './schema.ts'

const insert = 'INSERT OR IGNORE INTO remote_members(user_id, room_id) SELECT value, ?1 FROM json_each(?2)'

export function remoteMemberList({ DB }: Env): MemberList {
  return {
    replace: async (roomId, users) => {
      await DB.batch([
        DB.prepare('DELETE FROM remote_members WHERE room_id = ?').bind(roomId),
        DB.prepare(insert).bind(roomId, JSON.stringify(users)),
      ])
    },
    change: async (roomId, joined, gone) => {
      // Keys of those who are nowhere any more go with them.
      const forget = `DELETE FROM remote_keys WHERE user_id IN (SELECT value FROM json_each(?1))
        AND NOT EXISTS (SELECT 1 FROM remote_members WHERE remote_members.user_id = remote_keys.user_id)`
      const remove = 'DELETE FROM remote_members WHERE room_id = ?1 AND user_id IN (SELECT value FROM json_each(?2))'
      await DB.batch([
        DB.prepare(remove).bind(roomId, JSON.stringify(gone)),
        DB.prepare(forget).bind(JSON.stringify(gone)),
        DB.prepare(insert).bind(roomId, JSON.stringify(joined)),
      ])
    },
  }
}

export async function roomsOfRemoteUser({ DB }: Env, userId: UserId): Promise<RoomId[]> {
  const rows = await drizzle(DB)
    .select({ roomId: remoteMembers.roomId })
    .from(remoteMembers)
    .where(eq(remoteMembers.userId, userId))
  return rows.map(({ roomId }) => roomId)
}
