/**
 * One user's data, in pieces that `npm run export` writes as files: for the user themselves, for admins of this server, and
 * for whoever copies the whole server anyway. Docs: docs/backup.md.
 *
 * It holds no keys and no secrets: whom a device belongs to, not what it signs with. Encrypted messages stay encrypted; their
 * keys are with the user's clients.
 */
import { parseMediaId } from '#protocol/identifiers/mxc-uri.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'

import { listDevices } from '../accounts/devices.ts'
import { mediaFacts, mediaOfUser } from '../accounts/media-admin.ts'
import { readProfile } from '../accounts/profiles.ts'
import { listThreepids } from '../accounts/threepids.ts'
import { findUser } from '../accounts/users.ts'
import { demandBackupSecret } from '../backup/secret.ts'
import { wholeNumber } from '../client-server/parameters.ts'
import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import type { Settings } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'

const filesPerPage = 500

interface Asked {
  readonly env: Env
  readonly settings: Settings
  readonly userId: UserId
  readonly part: string
  readonly query: URLSearchParams
}

/** `part`: account, room, events, media or file. */
export const exportUser = operation(
  'GET /_hearth/export/:userId/:part',
  { id: 'exportUser', auth: 'accessToken', fresh: true },
  ({ env, settings, requester, path: { userId, part }, query }) => {
    if (requester.userId !== userId && !requester.isAdmin) refuse('forbidden', 'That is another user')
    return answer({ env, settings, userId, part, query })
  },
)

export const exportUserForBackup = operation(
  'GET /_hearth/backup/export/:userId/:part',
  { id: 'exportUserForBackup', auth: 'none' },
  ({ env, settings, request, path: { userId, part }, query }) => {
    demandBackupSecret(env, request, 'backup')
    return answer({ env, settings, userId, part, query })
  },
)

async function answer(asked: Asked): Promise<object | Response> {
  const { env, settings, userId, part } = asked
  if (serverNameOf(userId) !== settings.serverName || !(await findUser(env, userId))) {
    refuse('not_found', 'This server has no such user')
  }
  const parts: Readonly<Record<string, (asked: Asked) => Promise<object | Response>>> = {
    account,
    room,
    events,
    media,
    file,
  }
  const give = Object.hasOwn(parts, part) ? parts[part] : undefined
  return give ? give(asked) : refuse('unrecognized')
}

async function account({ env, userId }: Asked): Promise<object> {
  const [user, profile, devices, threepids, { rooms, accountData }] = await Promise.all([
    findUser(env, userId),
    readProfile(env, userId),
    listDevices(env, userId),
    listThreepids(env, userId),
    userSyncOf(env, userId).exportData(),
  ])
  return {
    user_id: userId,
    created_ts: user?.createdAt,
    admin: user?.isAdmin,
    deactivated: user?.deactivatedAt !== null,
    accepted_terms: user?.acceptedTerms ? JSON.parse(user.acceptedTerms) : undefined,
    profile: profile ?? {},
    addresses: threepids,
    devices: devices.map(({ deviceId, displayName, createdAt, lastSeenAt, lastSeenIp }) => ({
      device_id: deviceId,
      display_name: displayName,
      created_ts: createdAt,
      last_seen_ts: lastSeenAt,
      last_seen_ip: lastSeenIp,
    })),
    rooms,
    account_data: accountData,
  }
}

/** What a room is called, where this server knows. */
async function room({ env, query }: Asked): Promise<object> {
  const facts = await roomOf(env, roomIn(query)).facts()
  return facts.ok ? { name: facts.name, canonical_alias: facts.canonicalAlias } : {}
}

async function events({ env, userId, query }: Asked): Promise<object> {
  return roomOf(env, roomIn(query)).sentBy({
    user: userId,
    after: wholeNumber(query, 'after', 0, Number.MAX_SAFE_INTEGER),
  })
}

async function media({ env, userId, query }: Asked): Promise<object> {
  const from = wholeNumber(query, 'from', 0, 1_000_000)
  const order = { orderBy: 'created_ts', backwards: false } as const
  const { page } = await mediaOfUser(env, userId, { ...order, from, limit: filesPerPage })
  const files = page.map(({ mediaId, serverName, contentType, fileName, size, createdAt }) => ({
    uri: `mxc://${serverName}/${mediaId}`,
    media_id: mediaId,
    content_type: contentType,
    name: fileName,
    size,
    created_ts: createdAt,
  }))
  return { files, ...(page.length === filesPerPage ? { next: from + filesPerPage } : {}) }
}

/** The bytes of a file that the user uploaded, as a download and never as a page. */
async function file({ env, settings, userId, query }: Asked): Promise<Response> {
  const mediaId = parseMediaId(query.get('media_id')) ?? refuse('invalid_param', 'media_id is missing or malformed')
  const facts = await mediaFacts(env, { serverName: settings.serverName, mediaId })
  const found = facts?.uploader === userId && facts.storageKey ? await env.MEDIA.get(facts.storageKey) : null
  if (!found) return refuse('not_found')
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Disposition': 'attachment' }
  return new Response(found.body, { headers: { ...headers, 'Content-Length': String(found.size) } })
}

function roomIn(query: URLSearchParams) {
  return parseRoomId(query.get('room_id')) ?? refuse('invalid_param', 'room_id is missing or malformed')
}
