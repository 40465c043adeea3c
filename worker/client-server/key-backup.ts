/**
 * Server-side backups of room keys. Spec: client-server-api/#server-side-key-backups, key_backup.yaml.
 *
 * The user's object keeps them, so that versions, counts and etags cannot disagree.
 */
import { parseRooms, parseSessions, type SessionToBackUp } from '#protocol/device-keys/key-backup.ts'
import type { Outcome } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import * as v from 'valibot'

import type { BackupInfo, BackupScope } from '../../durable-objects/user-sync/key-backup.ts'
import type { Env } from '../env.ts'
import { type Operation, operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { streamBackup } from '../e2ee/stream-backup.ts'
import { jsonObject } from './parameters.ts'

const unstable = '/_matrix/client/unstable/room_keys'
const options = { auth: 'accessToken' } as const
const backupBody = v.looseObject({
  algorithm: v.string(),
  auth_data: jsonObject,
  version: v.optional(v.string()),
})
/** Clients send some hundred keys at once. */
const maxBody = 8 * 1024 * 1024

function clientInfo({ version, algorithm, authData, etag, count }: BackupInfo) {
  return { version, algorithm, auth_data: authData, etag, count }
}

/** The versions. Spec: client-server-api/#post_matrixclientv3room_keysversion and following. */
export const versions: readonly Operation[] = [
  operation(
    'POST /_matrix/client/v3/room_keys/version',
    { ...options, id: 'postRoomKeysVersion', body: backupBody, aliases: [`${unstable}/version`] },
    async ({ env, requester, body }) => {
      const backup = { algorithm: body.algorithm, authData: body.auth_data }
      return { version: await userSyncOf(env, requester.userId).createBackup(backup) }
    },
  ),
  operation(
    'GET /_matrix/client/v3/room_keys/version',
    { ...options, id: 'getRoomKeysVersionCurrent', aliases: [`${unstable}/version`] },
    async ({ env, requester }) => clientInfo(unwrap(await userSyncOf(env, requester.userId).backupInfo({}))),
  ),
  operation(
    'GET /_matrix/client/v3/room_keys/version/:version',
    { ...options, id: 'getRoomKeysVersion', aliases: [`${unstable}/version/:version`] },
    async ({ env, requester, path: { version } }) =>
      clientInfo(unwrap(await userSyncOf(env, requester.userId).backupInfo({ version }))),
  ),
  operation(
    'PUT /_matrix/client/v3/room_keys/version/:version',
    { ...options, id: 'putRoomKeysVersion', body: backupBody, aliases: [`${unstable}/version/:version`] },
    async ({ env, requester, path: { version }, body }) => {
      if (body.version !== undefined && body.version !== version) {
        return refuse('invalid_param', 'The version in the body is not that in the path')
      }
      const backup = { version, algorithm: body.algorithm, authData: body.auth_data }
      unwrap(await userSyncOf(env, requester.userId).updateBackup(backup))
      return {}
    },
  ),
  operation(
    'DELETE /_matrix/client/v3/room_keys/version/:version',
    { ...options, id: 'deleteRoomKeysVersion', aliases: [`${unstable}/version/:version`] },
    async ({ env, requester, path: { version } }) => {
      unwrap(await userSyncOf(env, requester.userId).deleteBackup({ version }))
      return {}
    },
  ),
]

/** The keys of all rooms, one room, one session. Spec: client-server-api/#put_matrixclientv3room_keyskeys and following. */
export const keys: readonly Operation[] = [
  operation(
    'PUT /_matrix/client/v3/room_keys/keys',
    { ...options, id: 'putRoomKeys', body: jsonObject, maxBody, aliases: [`${unstable}/keys`] },
    ({ env, requester, query, body }) => put(env, requester.userId, query, parseRooms(body)),
  ),
  operation(
    'PUT /_matrix/client/v3/room_keys/keys/:roomId',
    { ...options, id: 'putRoomKeysByRoomId', body: jsonObject, maxBody, aliases: [`${unstable}/keys/:roomId`] },
    ({ env, requester, query, path, body }) => put(env, requester.userId, query, parseSessions(path.roomId, body)),
  ),
  operation(
    'PUT /_matrix/client/v3/room_keys/keys/:roomId/:sessionId',
    { ...options, id: 'putRoomKeyBySessionId', body: jsonObject, aliases: [`${unstable}/keys/:roomId/:sessionId`] },
    ({ env, requester, query, path, body }) =>
      put(env, requester.userId, query, parseSessions(path.roomId, { sessions: { [path.sessionId]: body } })),
  ),
  operation(
    'GET /_matrix/client/v3/room_keys/keys',
    { ...options, id: 'getRoomKeys', aliases: [`${unstable}/keys`] },
    (call) =>
      streamBackup(call.env, call.requester.userId, { version: versionOf(call.query) }, (work) => call.waitUntil(work)),
  ),
  operation(
    'GET /_matrix/client/v3/room_keys/keys/:roomId',
    { ...options, id: 'getRoomKeysByRoomId', aliases: [`${unstable}/keys/:roomId`] },
    (call) => {
      const scope = { version: versionOf(call.query), roomId: call.path.roomId }
      return streamBackup(call.env, call.requester.userId, scope, (work) => call.waitUntil(work))
    },
  ),
  operation(
    'GET /_matrix/client/v3/room_keys/keys/:roomId/:sessionId',
    { ...options, id: 'getRoomKeyBySessionId', aliases: [`${unstable}/keys/:roomId/:sessionId`] },
    async ({ env, requester, query, path: { roomId, sessionId } }) => {
      const scope = { version: versionOf(query), roomId, sessionId, limit: 1 }
      const { sessions } = unwrap(await userSyncOf(env, requester.userId).backupKeys(scope))
      return sessions[0]?.key ?? refuse('not_found', 'No such key in the backup')
    },
  ),
  operation(
    'DELETE /_matrix/client/v3/room_keys/keys',
    { ...options, id: 'deleteRoomKeys', aliases: [`${unstable}/keys`] },
    ({ env, requester, query }) => remove(env, requester.userId, { version: versionOf(query) }),
  ),
  operation(
    'DELETE /_matrix/client/v3/room_keys/keys/:roomId',
    { ...options, id: 'deleteRoomKeysByRoomId', aliases: [`${unstable}/keys/:roomId`] },
    ({ env, requester, query, path: { roomId } }) =>
      remove(env, requester.userId, { version: versionOf(query), roomId }),
  ),
  operation(
    'DELETE /_matrix/client/v3/room_keys/keys/:roomId/:sessionId',
    { ...options, id: 'deleteRoomKeyBySessionId', aliases: [`${unstable}/keys/:roomId/:sessionId`] },
    ({ env, requester, query, path: { roomId, sessionId } }) =>
      remove(env, requester.userId, { version: versionOf(query), roomId, sessionId }),
  ),
]

function versionOf(query: URLSearchParams): string {
  return query.get('version') || refuse('missing_param', 'version is missing')
}

async function put(
  env: Env,
  userId: UserId,
  query: URLSearchParams,
  parsed: Outcome<{ sessions: SessionToBackUp[] }>,
): Promise<object> {
  const version = versionOf(query)
  const stored = await userSyncOf(env, userId).putBackupKeys({ version, sessions: unwrap(parsed).sessions })
  if (!stored.ok && 'currentVersion' in stored) {
    return refuse(stored.reason, stored.message, { current_version: stored.currentVersion })
  }
  const { etag, count } = unwrap(stored)
  return { etag, count }
}

async function remove(env: Env, userId: UserId, scope: BackupScope): Promise<object> {
  const { etag, count } = unwrap(await userSyncOf(env, userId).deleteBackupKeys(scope))
  return { etag, count }
}
