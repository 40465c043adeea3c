/** Ending an account. Spec: client-server-api/#account-deactivation, account_deactivation.yaml. */
import * as v from 'valibot'

import { endAccount } from '../accounts/end-account.ts'
import { authenticate } from '../accounts/interactive-auth.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { jsonObject } from './parameters.ts'

const deactivationBody = v.intersect([jsonObject, v.looseObject({ erase: v.optional(v.boolean()) })])

/** Spec: client-server-api/#post_matrixclientv3accountdeactivate */
export const deactivateAccount = operation(
  'POST /_matrix/client/v3/account/deactivate',
  { id: 'deactivateAccount', auth: 'accessToken', fresh: true, body: deactivationBody, r0: true },
  async ({ env, settings, requester: { userId }, body }) => {
    limitUser('interactiveAuth', userId, settings)
    const operation = 'POST /account/deactivate'
    const authenticated = await authenticate(env, { operation, userId, body, flows: [['m.login.password']] })
    if (!authenticated.ok) return authenticated.response
    await endAccount(env, userId, body.erase === true)
    // "This must be `success` if the homeserver has no identifiers to unbind": it never
    // bound any.
    return { id_server_unbind_result: 'success' }
  },
)
