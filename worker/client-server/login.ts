/** Logging in with a password. Spec: client-server-api/#legacy-login, login.yaml. */
import * as v from 'valibot'

import { checkPassword } from '../accounts/passwords.ts'
import { userIdOfLogin } from '../accounts/user-identifier.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { jsonObject } from './parameters.ts'
import { deviceWishes, signedIn } from './signing-in.ts'

/** Spec: client-server-api/#get_matrixclientv3login */
export const getLoginFlows = operation(
  'GET /_matrix/client/v3/login',
  { id: 'getLoginFlows', auth: 'none', r0: true },
  () => ({ flows: [{ type: 'm.login.password' }] }),
)

const loginBody = v.intersect([
  jsonObject,
  v.looseObject({ type: v.string(), password: v.optional(v.string()), ...deviceWishes }),
])

/**
 * Wrong names, wrong passwords and deactivated accounts get one answer: "Servers MAY instead use M_FORBIDDEN when they can
 * no longer authenticate the deactivated user."
 *
 * Spec: client-server-api/#post_matrixclientv3login
 */
export const login = operation(
  'POST /_matrix/client/v3/login',
  { id: 'login', auth: 'none', body: loginBody, r0: true },
  async ({ env, settings, request, body }) => {
    limitAddress('login', request, settings)
    if (body.type !== 'm.login.password') refuse('unknown_type', 'Bad login type')
    const password = body.password ?? refuse('missing_param', 'password is missing')
    const userId = userIdOfLogin(body, settings.serverName) ?? refuse('wrong_credentials')
    const user = (await checkPassword(env, userId, password)) ?? refuse('wrong_credentials')
    return signedIn(env, user.userId, body)
  },
)
