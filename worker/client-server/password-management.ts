/** Changing one's password. Spec: client-server-api/#password-management, password_management.yaml. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { removeAllDevices } from '../accounts/devices.ts'
import { provenBySession, useProofUp } from '../accounts/email-sessions.ts'
import { authenticate, type Flow } from '../accounts/interactive-auth.ts'
import { checkNewPassword, hashNewPassword } from '../accounts/passwords.ts'
import { ownerOfAddress } from '../accounts/threepids.ts'
import { setPasswordHash } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { mailerOf } from '../mail/mail.ts'
import { limitAddress, limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { jsonObject } from './parameters.ts'

const newPasswordBody = v.intersect([
  jsonObject,
  v.looseObject({ new_password: v.optional(v.string()), logout_devices: v.optional(v.boolean()) }),
])

/**
 * "The homeserver SHOULD NOT revoke the access token provided in the request." Without an access token, an address that was
 * added to the account and proven for this purpose says whose password it is.
 *
 * Spec: client-server-api/#post_matrixclientv3accountpassword
 */
export const changePassword = operation(
  'POST /_matrix/client/v3/account/password',
  { id: 'changePassword', auth: 'optional', fresh: true, body: newPasswordBody, r0: true },
  async ({ env, settings, requester, request, body }) => {
    if (requester) limitUser('interactiveAuth', requester.userId, settings)
    else limitAddress('inquiry', request, settings)
    const byMail: Flow[] = mailerOf(env) ? [['m.login.email.identity']] : []
    const flows: Flow[] = requester ? [['m.login.password'], ...byMail] : byMail
    if (flows.length === 0) refuse('missing_token')
    const password = body.new_password ?? refuse('missing_param', 'new_password is missing')
    checkNewPassword(password)
    const whose = requester ? { userId: requester.userId } : {}
    const operation = 'POST /account/password'
    const authenticated = await authenticate(env, { operation, ...whose, body, flows, emailPurpose: 'password' })
    if (!authenticated.ok) return authenticated.response

    const { emailSession } = authenticated
    const owner = emailSession === undefined ? requester?.userId : await ownerByMail(env, emailSession)
    if (owner === undefined || (requester && owner !== requester.userId)) {
      return refuse('forbidden', 'That address is not of this account')
    }
    await setPasswordHash(env, owner, await hashNewPassword(env, owner, password))
    if (body.logout_devices ?? true) await removeAllDevices(env, owner, requester?.deviceId)
    return {}
  },
)

/** Whose address a session has proven. The proof is used up: it sets one password. */
async function ownerByMail(env: Env, sid: string): Promise<UserId | undefined> {
  const proven = await provenBySession(env, sid)
  if (!proven || !(await useProofUp(env, sid))) return undefined
  return ownerOfAddress(env, proven.address)
}
