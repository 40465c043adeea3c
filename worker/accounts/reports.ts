/** What people report to the owner of this server. Spec: client-server-api/#reporting-content. */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { reports } from './schema.ts'

/** One of an event (with its room), a room, or a user. */
export interface Report {
  readonly reporter: UserId
  readonly roomId?: RoomId
  readonly eventId?: EventId
  readonly userId?: UserId
  readonly reason: string
}

export async function addReport({ DB }: Env, report: Report): Promise<void> {
  await drizzle(DB)
    .insert(reports)
    .values({ ...report, receivedAt: Date.now() })
}
