/** Profiles. Spec: client-server-api/#profiles, profile.yaml. Anyone may read them; "servers MAY deny". */
import { parseMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'

import { readProfile } from '../accounts/profiles.ts'
import type { Env } from '../env.ts'
import { askProfile } from '../federation-client/queries.ts'
import { type Call, operation, type Requester } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { settingsOf } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { propagateProfile } from '../user-rooms.ts'
import { jsonObject } from './parameters.ts'

/** The name under which clients of before v1.16 ask for fields other than the first two. */
const unstable = ['/_matrix/client/unstable/uk.tcpip.msc4133/profile/:userId/:keyName'] as const
const maxDisplayName = 256
const maxAvatarUrl = 1000
const maxStatusText = 256
const maxStatusEmoji = 32

/** Spec: client-server-api/#get_matrixclientv3profileuserid */
export const getUserProfile = operation(
  'GET /_matrix/client/v3/profile/:userId',
  {
    id: 'getUserProfile',
    auth: 'none',
    r0: true,
    aliases: ['/_matrix/client/unstable/uk.tcpip.msc4133/profile/:userId'],
  },
  ({ env, path }) => profileFor(env, path.userId),
)

/** Spec: client-server-api/#get_matrixclientv3profileuseridkeyname */
export const getProfileField = operation(
  'GET /_matrix/client/v3/profile/:userId/:keyName',
  { id: 'getProfileField', auth: 'none', r0: true, aliases: unstable },
  async ({ env, path: { userId, keyName } }) => {
    const value = own(await profileFor(env, userId), keyName)
    return value === undefined ? refuse('not_found', 'The profile has no such field') : { [keyName]: value }
  },
)

/** Spec: client-server-api/#put_matrixclientv3profileuseridkeyname */
export const setProfileFieldOperation = operation(
  'PUT /_matrix/client/v3/profile/:userId/:keyName',
  { id: 'setProfileField', auth: 'accessToken', body: jsonObject, guests: true, r0: true, aliases: unstable },
  async (call) => {
    const { env, path, body, requester } = call
    const { userId, keyName } = path
    checkMayChange(requester, userId, keyName)
    const value = checkField(keyName, body)
    const change = value === '' ? { name: keyName } : { name: keyName, value }
    if (!(await userSyncOf(env, userId).changeProfile(change))) refuse('profile_too_large')
    await tellRooms(call)
    return {}
  },
)

/** Spec: client-server-api/#delete_matrixclientv3profileuseridkeyname */
export const deleteProfileField = operation(
  'DELETE /_matrix/client/v3/profile/:userId/:keyName',
  { id: 'deleteProfileField', auth: 'accessToken', guests: true, aliases: unstable },
  async (call) => {
    const { env, path, requester } = call
    const { userId, keyName } = path
    checkMayChange(requester, userId, keyName)
    await userSyncOf(env, userId).changeProfile({ name: keyName })
    await tellRooms(call)
    return {}
  },
)

/** The profile of a user; of other servers' users their servers are asked. */
async function profileFor(env: Env, userId: UserId): Promise<JsonObject> {
  const isLocal = serverNameOf(userId) === settingsOf(env).serverName
  const profile = isLocal ? await readProfile(env, userId) : await askProfile(env, userId)
  return profile ?? refuse('not_found', 'Profile not found')
}

function checkMayChange({ userId, isGuest }: Requester, target: UserId, name: string): void {
  if (userId !== target) refuse('forbidden', 'A profile is changed by its user')
  // "Guest users may only modify their display name."
  if (isGuest && name !== 'displayname') refuse('guest_forbidden')
  if (name.length > 255) refuse('key_too_large')
  // Common Namespaced Identifier Grammar: what is not specified has a namespace before it.
  if (name !== 'displayname' && name !== 'avatar_url' && !/^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$/.test(name)) {
    refuse('invalid_param', 'That is not the name of a profile field')
  }
}

/** The value to set; '' for a name or a picture that is taken away, as clients say it that know no DELETE. */
function checkField(name: string, body: JsonObject): JsonValue {
  const value = own(body, name)
  if (value === undefined) return refuse('missing_param', `${name} is missing`)
  switch (name) {
    case 'displayname':
      if (typeof value !== 'string') return refuse('bad_json', 'displayname: Expected a string')
      return value.length <= maxDisplayName ? value : refuse('invalid_param', 'displayname is too long')
    case 'avatar_url':
      if (typeof value !== 'string') return refuse('bad_json', 'avatar_url: Expected a string')
      // Old bots set web addresses; what claims to be an MXC URI has to be one.
      if (value.length > maxAvatarUrl) return refuse('invalid_param', 'avatar_url is too long')
      return !value.startsWith('mxc:') || parseMxcUri(value)
        ? value
        : refuse('invalid_param', 'avatar_url is not an MXC URI')
    case 'm.tz':
      return typeof value === 'string' ? value : refuse('bad_json', 'm.tz: Expected a string')
    case 'm.status':
    case 'org.matrix.msc4426.status':
      return checkStatus(value)
    default:
      return value
  }
}

/** MSC4426: "Homeservers SHOULD reject statuses that contain fields which exceed these limits". */
function checkStatus(status: JsonValue): JsonValue {
  const bytesOf = (part: JsonValue | undefined) =>
    typeof part === 'string' ? new TextEncoder().encode(part).length : 0
  const [text, emoji] = isObject(status) ? [own(status, 'text'), own(status, 'emoji')] : []
  const fits = bytesOf(text) <= maxStatusText && bytesOf(emoji) <= maxStatusEmoji
  return fits ? status : refuse('status_too_large')
}

type ProfileCall = Pick<Call<'/:userId/:keyName', 'accessToken', unknown>, 'env' | 'path' | 'query' | 'waitUntil'>

/** Display name and picture are part of one's membership of rooms. MSC4069: unless the client asks otherwise. */
async function tellRooms(call: ProfileCall): Promise<void> {
  const { env, path, query } = call
  const { userId, keyName } = path
  if (keyName !== 'displayname' && keyName !== 'avatar_url') return
  if (query.get('org.matrix.msc4069.propagate') === 'false') return
  await propagateProfile(env, userId, call)
}
