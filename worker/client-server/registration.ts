/** Making accounts. Spec: client-server-api/#legacy-account-registration, registration.yaml, registration_tokens.yaml. */
import { localpartOf, makeUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { removeAllDevices } from '../accounts/devices.ts'
import { provenBySession } from '../accounts/email-sessions.ts'
import { authenticate, type Flow, type Stage } from '../accounts/interactive-auth.ts'
import { checkNewPassword, hashNewPassword } from '../accounts/passwords.ts'
import { isUsableToken } from '../accounts/registration-tokens.ts'
import { ownerOfAddress } from '../accounts/threepids.ts'
import { randomText } from '../accounts/tokens.ts'
import {
  chosenUserId,
  createUser,
  findUser,
  isTaken,
  type NewUser,
  type Upgrade,
  upgradeGuest,
} from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { requesterOfGuestToken } from '../middleware/access-token.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { jsonObject, oneOf } from './parameters.ts'
import { deviceWishes, signedIn } from './signing-in.ts'

const registerBody = v.intersect([
  jsonObject,
  v.looseObject({
    auth: v.nullish(jsonObject),
    username: v.optional(v.string()),
    password: v.optional(v.string()),
    inhibit_login: v.optional(v.boolean()),
    guest_access_token: v.optional(v.string()),
    ...deviceWishes,
  }),
])
type RegisterBody = v.InferOutput<typeof registerBody>

/** What a new user goes through, in this order. An open server that asks for nothing has a stage that is nothing. */
function flowsOf({ registration, registrationEmail, registrationTerms }: Settings): readonly Flow[] {
  if (registration === 'closed') return []
  const stages: Stage[] = [
    ...(registration === 'token' ? (['m.login.registration_token'] as const) : []),
    ...(registrationTerms ? (['m.login.terms'] as const) : []),
    ...(registrationEmail === 'required' ? (['m.login.email.identity'] as const) : []),
  ]
  return [stages.length > 0 ? stages : ['m.login.dummy']]
}

/** Clients ask again and again while they wait for a link to be opened: those are no registrations. */
function isWaitingForMail({ auth }: RegisterBody): boolean {
  return !!auth && own(auth, 'type') === 'm.login.email.identity'
}

/** Spec: client-server-api/#post_matrixclientv3register */
export const register = operation(
  'POST /_matrix/client/v3/register',
  { id: 'register', auth: 'none', body: registerBody, r0: true },
  async ({ env, settings, request, query, body }) => {
    limitAddress(isWaitingForMail(body) ? 'inquiry' : 'register', request, settings)
    if (settings.registration === 'closed') refuse('registration_closed')
    if (oneOf(query, 'kind', ['user', 'guest']) === 'guest') return registerGuest(env, settings, body)
    // "Homeservers MUST perform the relevant checks and return these codes before performing User-Interactive Authentication."
    const { username, password } = body
    const guest = body.guest_access_token === undefined ? undefined : await guestToUpgrade(env, settings, body)
    const userId = guest ?? (username === undefined ? undefined : await freeUserId(env, username, settings))
    if (password !== undefined) checkNewPassword(password)

    const operation = 'POST /register'
    const { registrationTerms } = settings
    const params = registrationTerms ? { 'm.login.terms': { policies: registrationTerms.policies } } : {}
    const flows = flowsOf(settings)
    const authenticated = await authenticate(env, { operation, body, flows, params, emailPurpose: 'register' })
    if (!authenticated.ok) return authenticated.response
    if (password === undefined) return refuse('missing_param', 'password is missing')

    const account = userId ?? generatedUserId('', settings)
    const passwordHash = await hashNewPassword(env, account, password)
    const { registrationToken, emailSession } = authenticated
    const email = emailSession === undefined ? undefined : await provenBySession(env, emailSession)
    if (emailSession !== undefined && !email) refuse('threepid_auth_failed')
    const acceptedTerms = registrationTerms?.versions
    const user = { userId: account, passwordHash, registrationToken, email, acceptedTerms }
    await (guest ? finishUpgrade(env, user) : makeAccount(env, user))
    if (body.inhibit_login) return { user_id: account, home_server: settings.serverName }
    return signedIn(env, account, body)
  },
)

/** Makes the account, or tells who was faster; `refuseToken` tells that the registration token was used up meanwhile. */
export async function makeAccount(env: Env, user: NewUser, refuseToken: () => never = () => refuse('forbidden')) {
  if (await createUser(env, { ...user, displayName: localpartOf(user.userId) })) return
  if (user.email && (await ownerOfAddress(env, user.email.address))) refuse('threepid_in_use')
  if (await isTaken(env, user.userId)) refuse('user_in_use')
  refuseToken()
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
async function finishUpgrade(env: Env, guest: Upgrade): Promise<void> {
  await removeAllDevices(env, guest.userId)
  if (await upgradeGuest(env, guest)) return
  if (guest.email && (await ownerOfAddress(env, guest.email.address))) refuse('threepid_in_use')
  refuse(guest.registrationToken === undefined ? 'user_in_use' : 'forbidden')
}

function generatedUserId(prefix: string, { serverName }: Settings): UserId {
  const userId = makeUserId(prefix + randomText(16, 'abcdefghijklmnopqrstuvwxyz'), serverName)
  return userId ?? refuse('internal')
}

/** The user ID for a name that someone chose. Refuses a name that is none, or is taken. */
export async function freeUserId(env: Env, username: string, { serverName }: Settings): Promise<UserId> {
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
