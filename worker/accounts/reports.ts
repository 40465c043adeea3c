/** What people report to the owner of this server. Spec: client-server-api/#reporting-content. */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, asc, count, desc, eq, isNotNull, isNull, sql, type SQL } from 'drizzle-orm'
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

export type StoredReport = typeof reports.$inferSelect
export type ReportKind = 'event' | 'room' | 'user'

export async function addReport({ DB }: Env, report: Report): Promise<void> {
  await drizzle(DB)
    .insert(reports)
    .values({ ...report, receivedAt: Date.now() })
}

export interface ReportQuery {
  /** All kinds without. */
  readonly kind: ReportKind | undefined
  readonly reporter: string | undefined
  readonly roomId: string | undefined
  /** Who was reported. */
  readonly userId: string | undefined
  readonly from: number
  readonly limit: number
  readonly newestFirst: boolean
}

const kinds: Readonly<Record<ReportKind, SQL | undefined>> = {
  event: isNotNull(reports.eventId),
  room: and(isNotNull(reports.roomId), isNull(reports.eventId)),
  user: isNotNull(reports.userId),
}

/** A page of reports, and how many there are in all. */
export async function listReports({ DB }: Env, query: ReportQuery): Promise<{ page: StoredReport[]; total: number }> {
  const { kind, reporter, roomId, userId, from, limit, newestFirst } = query
  const wanted = and(
    kind && kinds[kind],
    reporter === undefined ? undefined : sql`${reports.reporter} = ${reporter}`,
    roomId === undefined ? undefined : sql`${reports.roomId} = ${roomId}`,
    userId === undefined ? undefined : sql`${reports.userId} = ${userId}`,
  )
  const db = drizzle(DB)
  const [page, [counted]] = await db.batch([
    db
      .select()
      .from(reports)
      .where(wanted)
      .orderBy(newestFirst ? desc(reports.id) : asc(reports.id))
      .limit(limit)
      .offset(from),
    db.select({ total: count() }).from(reports).where(wanted),
  ])
  return { page, total: counted?.total ?? 0 }
}

export async function findReport({ DB }: Env, id: number, kind?: ReportKind): Promise<StoredReport | undefined> {
  const wanted = and(eq(reports.id, id), kind && kinds[kind])
  return drizzle(DB).select().from(reports).where(wanted).get()
}

/** False when there is none of that number. */
export async function deleteReport({ DB }: Env, id: number, kind?: ReportKind): Promise<boolean> {
  const wanted = and(eq(reports.id, id), kind && kinds[kind])
  return (await drizzle(DB).delete(reports).where(wanted).returning({ id: reports.id })).length === 1
}
