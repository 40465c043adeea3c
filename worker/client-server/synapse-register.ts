/**
 * Registering accounts by a secret shared with the server, as tools know it from Synapse: `/_synapse/admin/v1/register`.
 *
 * GET gives a nonce; POST takes the account with an HMAC-SHA1 over nonce, name, password and whether it is an admin,
 * joined by NUL. Answers as an unknown path without the secret in the settings.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

import { localpartOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { hashNewPassword } from '../accounts/passwords.ts'
import { chosenUserId, createUser, isTaken } from '../accounts/users.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { signedIn } from './signing-in.ts'

/** Milliseconds for which a nonce is good. */
const nonceLifetime = 60_000

/** A nonce needs no memory: it carries its time and our signature. Used twice, it makes the same account twice, once. */
export const getRegistrationNonce = operation(
  'GET /_synapse/admin/v1/register',
  { id: 'getRegistrationNonce', auth: 'none' },
  ({ settings }) => {
    const secret = secretOf(settings)
    const text = `${Date.now()}.${randomBytes(16).toString('hex')}`
    return { nonce: `${text}.${sealOf(text, secret)}` }
  },
)

const account = v.looseObject({
  nonce: v.string(),
  username: v.string(),
  password: v.string(),
  admin: v.optional(v.boolean()),
  user_type: v.optional(v.nullable(v.string())),
  displayname: v.optional(v.string()),
  mac: v.string(),
})

export const registerBySecret = operation(
  'POST /_synapse/admin/v1/register',
  { id: 'registerBySecret', auth: 'none', body: account },
  async ({ env, settings, request, body }) => {
    const secret = secretOf(settings)
    limitAddress('register', request, settings)
    if (!isFreshNonce(body.nonce, secret)) refuse('invalid_param', 'The nonce is unknown or has expired')
    const isAdmin = body.admin === true
    const fields = [body.nonce, body.username, body.password, isAdmin ? 'admin' : 'notadmin']
    if (typeof body.user_type === 'string') fields.push(body.user_type)
    const mac = createHmac('sha1', secret).update(fields.join('\0')).digest('hex')
    if (!sameText(mac, body.mac.toLowerCase())) refuse('forbidden', 'HMAC incorrect')

    const userId = chosenUserId(body.username, settings.serverName)
    if (await isTaken(env, userId)) refuse('user_in_use')
    const passwordHash = await hashNewPassword(env, userId, body.password)
    const displayName = body.displayname ?? localpartOf(userId)
    if (!(await createUser(env, { userId, passwordHash, isAdmin, displayName }))) refuse('user_in_use')
    return signedIn(env, userId, {})
  },
)

/** The shared secret; without one, this is an unknown path. */
export function secretOf({ registrationSharedSecret }: Settings): string {
  return registrationSharedSecret ?? refuse('unrecognized')
}

export function isFreshNonce(nonce: string, secret: string): boolean {
  const [time = '', random = '', seal = ''] = nonce.split('.')
  const age = Date.now() - Number(time)
  return sameText(seal, sealOf(`${time}.${random}`, secret)) && age >= 0 && age <= nonceLifetime
}

/** The label keeps a seal from ever being somebody's `mac`. */
function sealOf(text: string, secret: string): string {
  return createHmac('sha256', secret).update(`registration nonce\n${text}`).digest('hex')
}

/** Compares in a time that does not tell where the texts differ. */
export function sameText(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}
