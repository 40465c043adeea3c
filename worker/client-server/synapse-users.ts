/**
 * Looking after accounts, as bots and consoles for admins know it from Synapse: the part of `/_synapse/admin` that they use
 * for users. For admins of this server.
 */
import { localpartOf, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { removeAllDevices } from '../accounts/devices.ts'
import { endAccount } from '../accounts/end-account.ts'
import { setLocked, setSuspended } from '../accounts/moderation.ts'
import { checkNewPassword, hashNewPassword } from '../accounts/passwords.ts'
import { readProfile } from '../accounts/profiles.ts'
import { listThreepids } from '../accounts/threepids.ts'
import { forgetTokens } from '../accounts/token-cache.ts'
import { type ListedUser, listUsers, setAdmin } from '../accounts/user-list.ts'
import { chosenUserId, createUser, findUser, setPasswordHash, type User } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { propagateProfile } from '../user-rooms.ts'
import { demandAdmin } from './admin.ts'
import { oneOf, wholeNumber } from './parameters.ts'

const v1 = '/_synapse/admin/v1'
const v2 = '/_synapse/admin/v2'
const options = { auth: 'accessToken', fresh: true } as const
const mostAtOnce = 500
const mostSkipped = 1_000_000

type Asked = Pick<Call<'/:userId', 'accessToken', unknown>, 'env' | 'settings' | 'requester' | 'path'>

export const adminListUsers = operation(`GET ${v2}/users`, { id: 'adminListUsers', ...options }, async (call) => {
  const { env, requester, query } = call
  demandAdmin(requester)
  const from = wholeNumber(query, 'from', 0, mostSkipped)
  const truth = (name: string) => oneOf(query, name, ['true', 'false'])
  const admins = truth('admins')
  const { page, total } = await listUsers(env, {
    text: query.get('name') ?? query.get('user_id') ?? undefined,
    withGuests: truth('guests') !== 'false',
    withDeactivated: truth('deactivated') === 'true',
    isAdmin: admins === undefined ? undefined : admins === 'true',
    from,
    limit: wholeNumber(query, 'limit', 100, mostAtOnce),
  })
  const next = from + page.length
  const more = page.length > 0 && next < total ? { next_token: String(next) } : {}
  return { users: page.map(listed), total, ...more }
})

export const adminGetUser = operation(`GET ${v2}/users/:userId`, { id: 'adminGetUser', ...options }, async (call) =>
  details(call.env, await localUser(call)),
)

const userBody = v.looseObject({
  password: v.optional(v.string()),
  logout_devices: v.optional(v.boolean()),
  displayname: v.optional(v.nullable(v.string())),
  admin: v.optional(v.boolean()),
  deactivated: v.optional(v.boolean()),
  locked: v.optional(v.boolean()),
})

/** Changes an account, or makes it: then the answer is 201. */
export const adminPutUser = operation(
  `PUT ${v2}/users/:userId`,
  { id: 'adminPutUser', ...options, body: userBody },
  async (call) => {
    const { env, settings, requester, path, body } = call
    demandAdmin(requester)
    if (serverNameOf(path.userId) !== settings.serverName) refuse('invalid_param', 'That is a user of another server')
    if (body.password !== undefined) checkNewPassword(body.password)
    const known = await findUser(env, path.userId)
    if (!known) {
      const userId = chosenUserId(localpartOf(path.userId), settings.serverName)
      const passwordHash = body.password === undefined ? null : await hashNewPassword(env, userId, body.password)
      const displayName = body.displayname ?? localpartOf(userId)
      const isMade = await createUser(env, { userId, passwordHash, isAdmin: body.admin === true, displayName })
      if (!isMade) refuse('user_in_use')
      return Response.json(await details(env, (await findUser(env, userId)) ?? refuse('internal')), { status: 201 })
    }
    if (known.deactivatedAt !== null) refuse('user_deactivated', 'A deactivated account cannot be changed')
    if (known.userId === requester.userId && (body.admin === false || body.deactivated || body.locked)) {
      refuse('forbidden', 'You may not shut yourself out')
    }
    const { userId } = known
    if (body.password !== undefined) await resetPassword(env, userId, body.password, body.logout_devices ?? true)
    if (typeof body.displayname === 'string') {
      await userSyncOf(env, userId).changeProfile({ name: 'displayname', value: body.displayname })
      await propagateProfile(env, userId, call)
    }
    if (body.admin !== undefined) await changeAdmin(env, userId, body.admin)
    if (body.locked !== undefined) await setLocked(env, userId, body.locked)
    if (body.deactivated) await endAccount(env, userId, false)
    return details(env, (await findUser(env, userId)) ?? refuse('internal'))
  },
)

export const adminDeactivate = operation(
  `POST ${v1}/deactivate/:userId`,
  {
    id: 'adminDeactivate',
    ...options,
    body: v.looseObject({ erase: v.optional(v.boolean()) }),
    bodyOptional: true,
  },
  async (call) => {
    const { userId, deactivatedAt } = await localUser(call)
    if (deactivatedAt === null) await endAccount(call.env, userId, call.body.erase === true)
    return { id_server_unbind_result: 'success' }
  },
)

export const adminResetPassword = operation(
  `POST ${v1}/reset_password/:userId`,
  {
    id: 'adminResetPassword',
    ...options,
    body: v.looseObject({ new_password: v.string(), logout_devices: v.optional(v.boolean()) }),
  },
  async (call) => {
    const { new_password: password, logout_devices: logsOut = true } = call.body
    const { userId, deactivatedAt, isGuest } = await localUser(call)
    if (deactivatedAt !== null) refuse('user_deactivated')
    if (isGuest) refuse('invalid_param', 'Guests have no password')
    checkNewPassword(password)
    await resetPassword(call.env, userId, password, logsOut)
    return {}
  },
)

export const adminSuspend = operation(
  `PUT ${v1}/suspend/:userId`,
  { id: 'adminSuspend', ...options, body: v.looseObject({ suspend: v.boolean() }) },
  async (call) => {
    const { userId } = await localUser(call)
    if (userId === call.requester.userId) refuse('forbidden', 'That is your own account')
    await setSuspended(call.env, userId, call.body.suspend)
    return { [`user_${userId}_suspended`]: call.body.suspend }
  },
)

export const adminIsAdmin = operation(
  `GET ${v1}/users/:userId/admin`,
  { id: 'adminIsAdmin', ...options },
  async (call) => ({ admin: (await localUser(call)).isAdmin }),
)

export const adminSetAdmin = operation(
  `PUT ${v1}/users/:userId/admin`,
  { id: 'adminSetAdmin', ...options, body: v.looseObject({ admin: v.boolean() }) },
  async (call) => {
    const { userId } = await localUser(call)
    if (userId === call.requester.userId && !call.body.admin) refuse('invalid_param', 'You may not demote yourself')
    await changeAdmin(call.env, userId, call.body.admin)
    return {}
  },
)

export const adminJoinedRooms = operation(
  `GET ${v1}/users/:userId/joined_rooms`,
  { id: 'adminJoinedRooms', ...options },
  async (call) => {
    const { userId } = await localUser(call)
    const rooms = await userSyncOf(call.env, userId).joinedRooms()
    return { joined_rooms: rooms, total: rooms.length }
  },
)

/** The account of the path. Who is no admin learns nothing of who there is. */
async function localUser({ env, settings, requester, path: { userId } }: Asked): Promise<User> {
  demandAdmin(requester)
  if (serverNameOf(userId) !== settings.serverName) refuse('invalid_param', 'That is a user of another server')
  return (await findUser(env, userId)) ?? refuse('not_found', 'User not found')
}

async function resetPassword(env: Env, userId: UserId, password: string, logsOut: boolean): Promise<void> {
  await setPasswordHash(env, userId, await hashNewPassword(env, userId, password))
  if (logsOut) await removeAllDevices(env, userId)
}

async function changeAdmin(env: Env, userId: UserId, isAdmin: boolean): Promise<void> {
  await setAdmin(env, userId, isAdmin)
  forgetTokens(userId)
}

function factsOf(user: User, profile: JsonObject) {
  return {
    name: user.userId,
    is_guest: user.isGuest,
    admin: user.isAdmin,
    user_type: null,
    deactivated: user.deactivatedAt !== null,
    shadow_banned: false,
    locked: user.isLocked,
    suspended: user.isSuspended,
    displayname: own(profile, 'displayname') ?? null,
    avatar_url: own(profile, 'avatar_url') ?? null,
    creation_ts: user.createdAt,
  }
}

function listed({ profile, ...user }: ListedUser) {
  const fields: unknown = profile === null ? {} : JSON.parse(profile)
  return factsOf(user, isObject(fields) ? fields : {})
}

async function details(env: Env, user: User) {
  const [profile, threepids] = await Promise.all([readProfile(env, user.userId), listThreepids(env, user.userId)])
  return { ...factsOf(user, profile ?? {}), threepids, external_ids: [] }
}
