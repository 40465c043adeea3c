/**
 * The first account of a server, made in a browser with a one-time link: `/_hearth/first-account`.
 *
 * Whoever knows the secret shared with the server asks for the link (`npm start`, `npm run register -- --link`); the front
 * page sends its token back with a name and a password. The token travels in bodies only, never in an address.
 */
import { createHmac } from 'node:crypto'

import * as v from 'valibot'

import { makeFirstAccountLink, registrationTokenOfLink } from '../accounts/first-account.ts'
import { hashNewPassword } from '../accounts/passwords.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { setupGaps } from '../pages/setup-gaps.ts'
import { freeUserId, makeAccount } from './registration.ts'
import { isFreshNonce, sameText, secretOf } from './synapse-register.ts'

const path = '/_hearth/first-account'

/** The nonce is that of `/_synapse/admin/v1/register`; `mac` is the HMAC-SHA256 over it and `first-account`, joined by NUL. */
export const newFirstAccountLink = operation(
  `POST ${path}/link`,
  { id: 'newFirstAccountLink', auth: 'none', body: v.looseObject({ nonce: v.string(), mac: v.string() }) },
  async ({ env, settings, request, body: { nonce, mac } }) => {
    const secret = secretOf(settings)
    limitAddress('register', request, settings)
    if (!isFreshNonce(nonce, secret)) refuse('invalid_param', 'The nonce is unknown or has expired')
    const expected = createHmac('sha256', secret).update(`${nonce}\0first-account`).digest('hex')
    if (!sameText(expected, mac.toLowerCase())) refuse('forbidden', 'HMAC incorrect')
    // An account is bound to the server's name for ever.
    const [gap] = setupGaps(env)
    if (gap !== undefined) refuse('forbidden', `The server is not set up yet: ${gap.what}`)
    const link = await makeFirstAccountLink(env)
    return link ? { token: link.token, expires_ts: link.expiresAt } : refuse('not_found', 'There is an administrator')
  },
)

export const firstAccountLinkValidity = operation(
  `POST ${path}/validity`,
  { id: 'firstAccountLinkValidity', auth: 'none', body: v.looseObject({ token: v.string() }) },
  async ({ env, settings, request, body }) => {
    limitAddress('inquiry', request, settings)
    return { valid: (await registrationTokenOfLink(env, body.token)) !== undefined }
  },
)

/** Makes the administrator's account, whatever registration is otherwise. The answer has no token: clients sign in. */
export const makeFirstAccount = operation(
  `POST ${path}`,
  {
    id: 'makeFirstAccount',
    auth: 'none',
    body: v.looseObject({ token: v.string(), username: v.string(), password: v.string() }),
  },
  async ({ env, settings, request, body: { token, username, password } }) => {
    limitAddress('register', request, settings)
    const registrationToken = (await registrationTokenOfLink(env, token)) ?? refuseLink()
    const userId = await freeUserId(env, username, settings)
    const passwordHash = await hashNewPassword(env, userId, password)
    await makeAccount(env, { userId, passwordHash, isAdmin: true, registrationToken }, refuseLink)
    return { user_id: userId }
  },
)

function refuseLink(): never {
  return refuse('forbidden', 'This link was used already, or it is too old')
}
