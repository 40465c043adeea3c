/** Making accounts. Spec: client-server-api/#legacy-account-registration, registration.yaml, registration_tokens.yaml. */
import { localpartOf, makeUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { removeAllDevices } from '../accounts/devices.ts'
import { authenticate, type Flow } from '../accounts/interactive-auth.ts'
import { checkNewPassword, hashNewPassword } from '../accounts/passwords.ts'
import { isUsableToken } from '../accounts/registration-tokens.ts'
import { randomText } from '../accounts/tokens.ts'
import { chosenUserId, createUser, findUser, isTaken, upgradeGuest } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { requesterOfGuestToken } from '../middleware/access-token.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import type { Registration, Settings } from '../settings.ts'
import { jsonObject, oneOf } from './parameters.ts'
import { deviceWishes, signedIn } from './signing-in.ts'

const registerBody = v.intersect([
  jsonObject,
  v.looseObject({
    auth: v.optional(jsonObject),
    username: v.optional(v.string()),
    password: v.optional(v.string()),
    inhibit_login: v.optional(v.boolean()),
    guest_access_token: v.optional(v.string()),
    ...deviceWishes,
  }),
])
type RegisterBody = v.InferOutput<typeof registerBody>

const flows: Readonly<Record<Registration, readonly Flow[]>> = {
  open: [['m.login.dummy']],
  token: [['m.login.registration_token']],
  closed: [],
}

/** Spec: client-server-api/#post_matrixclientv3register */
export const register = operation(
  'POST /_matrix/client/v3/register',
  { id: 'register', auth: 'none', body: registerBody, r0: true },
  async ({ env, settings, request, query, body }) => {
    limitAddress('register', request, settings)
    if (settings.registration === 'closed') refuse('registration_closed')
    if (oneOf(query, 'kind', ['user', 'guest']) === 'guest') return registerGuest(env, settings, body)
    // "Homeservers MUST perform the relevant checks and return these codes before performing User-Interactive Authentication."
    const { username, password } = body
    const guest = body.guest_access_token === undefined ? undefined : await guestToUpgrade(env, settings, body)
    const userId = guest ?? (username === undefined ? undefined : await freeUserId(env, username, settings))
    if (password !== undefined) checkNewPassword(password)

    const operation = 'POST /register'
    const authenticated = await authenticate(env, { operation, body, flows: flows[settings.registration] })
    if (!authenticated.ok) return authenticated.response
    if (password === undefined) return refuse('missing_param', 'password is missing')

    const account = userId ?? generatedUserId('', settings)
    const passwordHash = await hashNewPassword(env, account, password)
    const { registrationToken } = authenticated
    await (guest
      ? finishUpgrade(env, guest, passwordHash)
      : makeAccount(env, { userId: account, passwordHash, registrationToken }))
    if (body.inhibit_login) return { user_id: account, home_server: settings.serverName }
    return signedIn(env, account, body)
  },
)

/** Makes the account, or tells who was faster. */
async function makeAccount(
  env: Env,
  user: { userId: UserId; passwordHash: string; registrationToken: string | undefined },
) {
  if (await createUser(env, { ...user, displayName: localpartOf(user.userId) })) return
  refuse((await isTaken(env, user.userId)) ? 'user_in_use' : 'forbidden')
}

/**
 * "All parameters in the request body with the exception of `initial_device_display_name` MUST BE ignored." Who needs a
 * token to register could do without by being a guest, so only an open server takes guests.
 */
async function registerGuest(env: Env, settings: Settings, { initial_device_display_name }: RegisterBody) {
  if (settings.registration !== 'open') refuse('registration_closed', 'This server takes no guests')
  const userId = generatedUserId('guest-', settings)
  if (!(await createUser(env, { userId, passwordHash: null, isGuest: true }))) refuse('user_in_use')
  return signedIn(env, userId, { initial_device_display_name })
}

/** Spec: client-server-api/#guest-access: `guest_access_token`, with `username` the localpart the guest has. */
async function guestToUpgrade(env: Env, settings: Settings, body: RegisterBody): Promise<UserId> {
  const guest = await requesterOfGuestToken(env, body.guest_access_token ?? '')
  if (guest === undefined) return refuse('forbidden', 'guest_access_token is not the token of a guest')
  const username = body.username ?? refuse('missing_param', 'username is missing')
  if (makeUserId(username, settings.serverName) !== guest) refuse('invalid_username', 'A guest keeps the user name')
  return guest
}

/** The guest's own devices end: a token that was good for little must not become one that is good for everything. */
async function finishUpgrade(env: Env, guest: UserId, passwordHash: string): Promise<void> {
  await removeAllDevices(env, guest)
  if (!(await upgradeGuest(env, guest, passwordHash))) refuse('user_in_use')
}

function generatedUserId(prefix: string, { serverName }: Settings): UserId {
  const userId = makeUserId(prefix + randomText(16, 'abcdefghijklmnopqrstuvwxyz'), serverName)
  return userId ?? refuse('internal')
}

async function freeUserId(env: Env, username: string, { serverName }: Settings): Promise<UserId> {
  const userId = chosenUserId(username, serverName)
  return (await findUser(env, userId)) === undefined ? userId : refuse('user_in_use')
}

/** Spec: client-server-api/#get_matrixclientv3registeravailable */
export const checkUsernameAvailability = operation(
  'GET /_matrix/client/v3/register/available',
  { id: 'checkUsernameAvailability', auth: 'none', r0: true },
  async ({ env, settings, request, query }) => {
    limitAddress('inquiry', request, settings)
    if (settings.registration === 'closed') refuse('registration_closed')
    await freeUserId(env, query.get('username') ?? refuse('missing_param', 'username is missing'), settings)
    return { available: true }
  },
)

/** Spec: client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity */
export const registrationTokenValidity = operation(
  'GET /_matrix/client/v1/register/m.login.registration_token/validity',
  { id: 'registrationTokenValidity', auth: 'none' },
  async ({ env, settings, request, query }) => {
    limitAddress('inquiry', request, settings)
    if (settings.registration === 'closed') refuse('registration_closed')
    const token = query.get('token') ?? refuse('missing_param', 'token is missing')
    return { valid: await isUsableToken(env, token) }
  },
)
