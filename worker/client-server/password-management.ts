/** Changing one's password. Spec: client-server-api/#password-management, password_management.yaml. */
import * as v from 'valibot'

import { removeAllDevices } from '../accounts/devices.ts'
import { authenticate } from '../accounts/interactive-auth.ts'
import { checkNewPassword, hashNewPassword } from '../accounts/passwords.ts'
import { setPasswordHash } from '../accounts/users.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { jsonObject } from './parameters.ts'

const newPasswordBody = v.intersect([
  jsonObject,
  v.looseObject({ new_password: v.string(), logout_devices: v.optional(v.boolean()) }),
])

/**
 * "The homeserver SHOULD NOT revoke the access token provided in the request." Without an access token nobody changes a
 * password here: that is for servers which can send e-mail.
 *
 * Spec: client-server-api/#post_matrixclientv3accountpassword
 */
export const changePassword = operation(
  'POST /_matrix/client/v3/account/password',
  { id: 'changePassword', auth: 'accessToken', fresh: true, body: newPasswordBody, r0: true },
  async ({ env, settings, requester: { userId, deviceId }, body }) => {
    limitUser('interactiveAuth', userId, settings)
    checkNewPassword(body.new_password)
    const operation = 'POST /account/password'
    const authenticated = await authenticate(env, { operation, userId, body, flows: [['m.login.password']] })
    if (!authenticated.ok) return authenticated.response
    await setPasswordHash(env, userId, await hashNewPassword(env, userId, body.new_password))
    if (body.logout_devices ?? true) await removeAllDevices(env, userId, deviceId)
    return {}
  },
)
