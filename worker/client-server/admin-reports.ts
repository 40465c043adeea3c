/**
 * The report inbox for admins of this server: `/_hearth/admin/reports` has all reports; reports of events and of users
 * stand also where tools look for them that were written for Synapse, in the form they have there.
 */
import { type ReportKind, deleteReport, findReport, listReports, type StoredReport } from '../accounts/reports.ts'
import type { Env } from '../env.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { demandAdmin } from './admin.ts'
import { oneOf, wholeNumber } from './parameters.ts'

const inbox = '/_hearth/admin/reports'
const eventReports = '/_synapse/admin/v1/event_reports'
const userReports = '/_synapse/admin/v1/user_reports'
const options = { auth: 'accessToken', fresh: true } as const

const mostAtOnce = 100
/** Pages end somewhere, also for who asks for the end of them. */
const mostSkipped = 1_000_000

type Asked = Call<string, 'accessToken', undefined>

export const getReports = operation(`GET ${inbox}`, { id: 'getReports', ...options }, async (call) => {
  const { page, ...rest } = await pageOf(call, oneOf(call.query, 'kind', ['event', 'room', 'user']))
  return { reports: page.map(written), ...rest }
})

export const deleteAnyReport = operation(`DELETE ${inbox}/:reportId`, { id: 'deleteAnyReport', ...options }, (call) =>
  remove(call, call.path.reportId),
)

export const getEventReports = operation(`GET ${eventReports}`, { id: 'getEventReports', ...options }, async (call) => {
  const { page, ...rest } = await pageOf(call, 'event')
  return { event_reports: await Promise.all(page.map((report) => asEventReport(call.env, report))), ...rest }
})

export const getEventReport = operation(
  `GET ${eventReports}/:reportId`,
  { id: 'getEventReport', ...options },
  async (call) => {
    const report = await reportOf(call, call.path.reportId, 'event')
    return { ...(await asEventReport(call.env, report)), event_json: await eventOf(call.env, report) }
  },
)

export const deleteEventReport = operation(
  `DELETE ${eventReports}/:reportId`,
  { id: 'deleteEventReport', ...options },
  (call) => remove(call, call.path.reportId, 'event'),
)

export const getUserReports = operation(`GET ${userReports}`, { id: 'getUserReports', ...options }, async (call) => {
  const { page, ...rest } = await pageOf(call, 'user')
  return { user_reports: page.map(asUserReport), ...rest }
})

export const getUserReport = operation(
  `GET ${userReports}/:reportId`,
  { id: 'getUserReport', ...options },
  async (call) => asUserReport(await reportOf(call, call.path.reportId, 'user')),
)

export const deleteUserReport = operation(
  `DELETE ${userReports}/:reportId`,
  { id: 'deleteUserReport', ...options },
  (call) => remove(call, call.path.reportId, 'user'),
)

async function pageOf({ env, requester, query }: Asked, kind: ReportKind | undefined) {
  demandAdmin(requester)
  const from = wholeNumber(query, 'from', 0, mostSkipped)
  const { page, total } = await listReports(env, {
    kind,
    reporter: query.get('user_id') ?? undefined,
    roomId: query.get('room_id') ?? undefined,
    userId: query.get('target_user_id') ?? undefined,
    from,
    limit: wholeNumber(query, 'limit', mostAtOnce, mostAtOnce),
    newestFirst: oneOf(query, 'dir', ['b', 'f']) !== 'f',
  })
  const next = from + page.length
  return { page, total, ...(page.length > 0 && next < total ? { next_token: next } : {}) }
}

async function reportOf({ env, requester }: Asked, reportId: string, kind?: ReportKind): Promise<StoredReport> {
  demandAdmin(requester)
  return (await findReport(env, numberOf(reportId), kind)) ?? refuse('not_found', 'There is no such report')
}

async function remove({ env, requester }: Asked, reportId: string, kind?: ReportKind) {
  demandAdmin(requester)
  return (await deleteReport(env, numberOf(reportId), kind)) ? {} : refuse('not_found', 'There is no such report')
}

function numberOf(reportId: string): number {
  return /^\d{1,15}$/.test(reportId) ? Number(reportId) : refuse('invalid_param', 'Reports have whole numbers')
}

/** A report as it is kept; what it is not about is left out. */
function written({ id, reporter, roomId, eventId, userId, reason, receivedAt }: StoredReport) {
  return {
    id,
    received_ts: receivedAt,
    kind: eventId === null ? (roomId === null ? 'user' : 'room') : 'event',
    user_id: reporter,
    ...(roomId === null ? {} : { room_id: roomId }),
    ...(eventId === null ? {} : { event_id: eventId }),
    ...(userId === null ? {} : { target_user_id: userId }),
    reason,
  }
}

function asUserReport({ id, reporter, userId, reason, receivedAt }: StoredReport) {
  return { id, received_ts: receivedAt, target_user_id: userId, user_id: reporter, reason }
}

async function asEventReport(env: Env, report: StoredReport) {
  const { id, reporter, roomId, eventId, reason, receivedAt } = report
  const facts = roomId === null ? undefined : await roomOf(env, roomId).facts()
  const event = await eventOf(env, report)
  return {
    id,
    received_ts: receivedAt,
    room_id: roomId,
    event_id: eventId,
    user_id: reporter,
    reason,
    score: null,
    sender: event?.sender ?? null,
    name: facts?.ok ? (facts.name ?? null) : null,
    canonical_alias: facts?.ok ? (facts.canonicalAlias ?? null) : null,
  }
}

/** The event as its reporter sees it: an admin of the server is shown no more of a room than they are told. */
async function eventOf(env: Env, { reporter, roomId, eventId }: StoredReport) {
  if (roomId === null || eventId === null) return null
  const found = await roomOf(env, roomId).event({ reader: reporter, eventId })
  return found.ok ? found.event : null
}
