/** Ending an account. Spec: client-server-api/#account-deactivation, account_deactivation.yaml. */
import * as v from 'valibot'

import { endDevices, listDevices } from '../accounts/devices.ts'
import { authenticate } from '../accounts/interactive-auth.ts'
import { closeAccount } from '../accounts/users.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { leaveEverything } from '../user-rooms.ts'
import { jsonObject } from './parameters.ts'

const deactivationBody = v.intersect([jsonObject, v.looseObject({ erase: v.optional(v.boolean()) })])

/**
 * Every way in is closed first: whatever fails after that, nobody gets in again.
 *
 * Spec: client-server-api/#post_matrixclientv3accountdeactivate
 */
export const deactivateAccount = operation(
  'POST /_matrix/client/v3/account/deactivate',
  { id: 'deactivateAccount', auth: 'accessToken', fresh: true, body: deactivationBody, r0: true },
  async (call) => {
    const { env, settings, requester, body } = call
    const { userId } = requester
    limitUser('interactiveAuth', userId, settings)
    const operation = 'POST /account/deactivate'
    const authenticated = await authenticate(env, { operation, userId, body, flows: [['m.login.password']] })
    if (!authenticated.ok) return authenticated.response
    const devices = await listDevices(env, userId)
    await closeAccount(env, userId)
    await endDevices(
      env,
      userId,
      devices.map(({ deviceId }) => deviceId),
    )
    await leaveEverything(env, userId, call)
    // "This must be `success` if the homeserver has no identifiers to unbind": it never has.
    return { id_server_unbind_result: 'success' }
  },
)
