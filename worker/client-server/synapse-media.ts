/**
 * Forbidding and deleting media, as bots and consoles for admins know it from Synapse: `/_synapse/admin/v1/media` and what
 * stands beside it for users and rooms. For admins of this server.
 *
 * What is quarantined is given out to nobody; the bytes stay. What is deleted is gone.
 */
import { type MxcUri, parseMxcUri, printMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'

import {
  endQuarantine,
  mediaAmong,
  mediaFacts,
  type MediaFacts,
  mediaOfUser,
  type MediaOrder,
  mediaOrders,
  quarantine,
  quarantineUser,
  setProtected,
  usageOrders,
  usagePerUser,
} from '../accounts/media-admin.ts'
import { type MediaRow, removeMedia, unusedCopies } from '../accounts/media-removal.ts'
import type { Env } from '../env.ts'
import { localUriOf, mxcUriOf } from '../media/media-path.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { demandAdmin } from './admin.ts'
import { oneOf, wholeNumber } from './parameters.ts'

const v1 = '/_synapse/admin/v1'
const options = { auth: 'accessToken', fresh: true } as const
const mostAtOnce = 1000
const mostSkipped = 1_000_000
/** Files of one removal, which may each cost R2 a look for thumbnails. */
const removedAtOnce = 200
const latest = 8_640_000_000_000_000

type Asked<Path extends string> = Call<Path, 'accessToken', undefined>

// —— One file ——

export const adminMediaInfo = operation(
  `GET ${v1}/media/:serverName/:mediaId`,
  { id: 'adminMediaInfo', ...options },
  async ({ env, requester, path }) => {
    demandAdmin(requester)
    const facts = await mediaFacts(env, mxcUriOf(path))
    return facts
      ? { media_info: { media_origin: facts.serverName, user_id: facts.uploader, ...infoOf(facts) } }
      : refuse('not_found')
  },
)

export const adminQuarantine = operation(
  `POST ${v1}/media/quarantine/:serverName/:mediaId`,
  { id: 'adminQuarantine', ...options },
  async ({ env, settings, requester, path }) => {
    demandAdmin(requester)
    await quarantine(env, [mxcUriOf(path)], requester.userId, settings.serverName)
    return {}
  },
)

export const adminUnquarantine = operation(
  `POST ${v1}/media/unquarantine/:serverName/:mediaId`,
  { id: 'adminUnquarantine', ...options },
  async ({ env, requester, path }) => {
    demandAdmin(requester)
    await endQuarantine(env, mxcUriOf(path))
    return {}
  },
)

export const adminProtect = operation(`POST ${v1}/media/protect/:mediaId`, { id: 'adminProtect', ...options }, (call) =>
  protect(call, true),
)

export const adminUnprotect = operation(
  `POST ${v1}/media/unprotect/:mediaId`,
  { id: 'adminUnprotect', ...options },
  (call) => protect(call, false),
)

export const adminDeleteMedia = operation(
  `DELETE ${v1}/media/:serverName/:mediaId`,
  { id: 'adminDeleteMedia', ...options },
  async ({ env, settings, requester, path }) => {
    demandAdmin(requester)
    const uri = mxcUriOf(path)
    if (uri.serverName !== settings.serverName) refuse('invalid_param', 'Only media of this server can be deleted')
    const rows = await mediaAmong(env, [uri])
    if (rows.length === 0) refuse('not_found', 'There is no such media')
    return deleted(env, rows)
  },
)

// —— A user's files ——

export const adminUserMedia = operation(
  `GET ${v1}/users/:userId/media`,
  { id: 'adminUserMedia', ...options },
  async (call) => {
    const { page, total, next } = await filesOf(call, mostAtOnce)
    return { media: page.map(infoOf), total, ...(next < total && page.length > 0 && { next_token: next }) }
  },
)

export const adminDeleteUserMedia = operation(
  `DELETE ${v1}/users/:userId/media`,
  { id: 'adminDeleteUserMedia', ...options },
  async (call) => deleted(call.env, (await filesOf(call, removedAtOnce)).page),
)

export const adminQuarantineUser = operation(
  `POST ${v1}/user/:userId/media/quarantine`,
  { id: 'adminQuarantineUser', ...options },
  async ({ env, requester, path }) => {
    demandAdmin(requester)
    return { num_quarantined: await quarantineUser(env, path.userId, requester.userId) }
  },
)

// —— A room's files ——

export const adminRoomMedia = operation(
  `GET ${v1}/room/:roomId/media`,
  { id: 'adminRoomMedia', ...options },
  async ({ env, settings, requester, path }) => {
    demandAdmin(requester)
    const uris = await roomMedia(env, path.roomId)
    const isOurs = ({ serverName }: MxcUri) => serverName === settings.serverName
    return {
      local: uris.filter(isOurs).map(printMxcUri),
      remote: uris.filter((uri) => !isOurs(uri)).map(printMxcUri),
    }
  },
)

export const adminQuarantineRoom = operation(
  `POST ${v1}/room/:roomId/media/quarantine`,
  { id: 'adminQuarantineRoom', ...options, aliases: [`${v1}/quarantine_media/:roomId`] },
  async ({ env, settings, requester, path }) => {
    demandAdmin(requester)
    let quarantined = 0
    for (const part of parts(await roomMedia(env, path.roomId), mostAtOnce)) {
      quarantined += await quarantine(env, part, requester.userId, settings.serverName)
    }
    return { num_quarantined: quarantined }
  },
)

/** Synapse has no such operation: what a room's events name goes, copies of other servers' files too. */
export const adminDeleteRoomMedia = operation(
  `DELETE ${v1}/room/:roomId/media`,
  { id: 'adminDeleteRoomMedia', ...options },
  async ({ env, requester, path }) => {
    demandAdmin(requester)
    const gone: MediaRow[] = []
    for (const part of parts(await roomMedia(env, path.roomId), removedAtOnce)) {
      const rows = await mediaAmong(env, part)
      await removeMedia(env, rows)
      gone.push(...rows)
    }
    return { deleted_media: gone.map(({ mediaId }) => mediaId), total: gone.length }
  },
)

// —— All files ——

/** Forgets copies of other servers' files that nobody looked at since `before_ts`. */
export const adminPurgeMediaCache = operation(
  `POST ${v1}/purge_media_cache`,
  { id: 'adminPurgeMediaCache', ...options },
  async ({ env, settings, requester, query }) => {
    demandAdmin(requester)
    if (!query.has('before_ts')) refuse('missing_param', 'before_ts is missing')
    const before = wholeNumber(query, 'before_ts', 0, latest)
    const rows = await unusedCopies(env, settings.serverName, before, removedAtOnce)
    await removeMedia(env, rows)
    return { deleted: rows.length }
  },
)

export const adminMediaStatistics = operation(
  `GET ${v1}/statistics/users/media`,
  { id: 'adminMediaStatistics', ...options },
  async ({ env, requester, query }) => {
    demandAdmin(requester)
    const moment = (name: string) => (query.has(name) ? wholeNumber(query, name, 0, latest) : undefined)
    const from = wholeNumber(query, 'from', 0, mostSkipped)
    const { page, total } = await usagePerUser(env, {
      from,
      limit: wholeNumber(query, 'limit', 100, mostAtOnce),
      orderBy: oneOf(query, 'order_by', usageOrders) ?? 'user_id',
      backwards: oneOf(query, 'dir', ['f', 'b']) === 'b',
      since: moment('from_ts'),
      until: moment('until_ts'),
      text: query.get('search_term') ?? undefined,
    })
    const users = page.map(({ userId, displayName, files, bytes }) => ({
      user_id: userId,
      displayname: displayName,
      media_count: files,
      media_length: bytes,
    }))
    const next = from + page.length
    return { users, total, ...(next < total && page.length > 0 && { next_token: next }) }
  },
)

async function protect({ env, settings, requester, path }: Asked<'/:mediaId'>, isProtected: boolean) {
  demandAdmin(requester)
  await setProtected(env, localUriOf(settings.serverName, path.mediaId), isProtected)
  return {}
}

async function filesOf({ env, settings, requester, path, query }: Asked<'/:userId'>, most: number) {
  demandAdmin(requester)
  const userId: UserId = path.userId
  if (serverNameOf(userId) !== settings.serverName) refuse('invalid_param', 'That is a user of another server')
  const from = wholeNumber(query, 'from', 0, mostSkipped)
  const limit = wholeNumber(query, 'limit', 100, most)
  const orderBy = oneOf(query, 'order_by', Object.keys(mediaOrders).filter(isOrder)) ?? 'created_ts'
  // Unless told, the newest come first.
  const backwards = (oneOf(query, 'dir', ['f', 'b']) ?? (query.has('order_by') ? 'f' : 'b')) === 'b'
  const { page, total } = await mediaOfUser(env, userId, { orderBy, from, limit, backwards })
  return { page, total, next: from + page.length }
}

function isOrder(name: string): name is MediaOrder {
  return Object.hasOwn(mediaOrders, name)
}

async function roomMedia(env: Env, roomId: RoomId): Promise<MxcUri[]> {
  const room = roomOf(env, roomId)
  const uris = new Set<string>()
  for (let after: number | undefined = 0; after !== undefined;) {
    const page: { readonly uris: readonly string[]; readonly next?: number } = await room.mediaUris({ after })
    for (const uri of page.uris) uris.add(uri)
    after = page.next
  }
  return [...uris].map(parseMxcUri).filter((uri) => uri !== undefined)
}

async function deleted(env: Env, rows: readonly MediaRow[]) {
  await removeMedia(env, rows)
  return { deleted_media: rows.map(({ mediaId }) => mediaId), total: rows.length }
}

function infoOf(facts: MediaFacts) {
  return {
    created_ts: facts.createdAt,
    last_access_ts: facts.lastAccessAt,
    media_id: facts.mediaId,
    media_length: facts.size,
    media_type: facts.contentType,
    quarantined_by: facts.quarantinedBy,
    safe_from_quarantine: facts.isProtected,
    upload_name: facts.fileName,
  }
}

function parts<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  )
}
