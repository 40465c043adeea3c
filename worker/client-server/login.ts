/** Logging in with a password, or with a token of another client. Spec: client-server-api/#legacy-login, login.yaml. */
import * as v from 'valibot'

import { useLoginToken } from '../accounts/login-tokens.ts'
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
  () => ({ flows: [{ type: 'm.login.password' }, { type: 'm.login.token', get_login_token: true }] }),
)

const loginBody = v.intersect([
  jsonObject,
  v.looseObject({ type: v.string(), password: v.optional(v.string()), token: v.optional(v.string()), ...deviceWishes }),
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
    if (body.type === 'm.login.token') {
      const token = body.token ?? refuse('missing_param', 'token is missing')
      const owner =
        (await useLoginToken(env, token, Date.now())) ?? refuse('forbidden', 'That token is unknown or used')
      return signedIn(env, owner, body)
    }
    if (body.type !== 'm.login.password') refuse('unknown_type', 'Bad login type')
    const password = body.password ?? refuse('missing_param', 'password is missing')
    const userId = (await userIdOfLogin(env, body, settings.serverName)) ?? refuse('wrong_credentials')
    const user = (await checkPassword(env, userId, password)) ?? refuse('wrong_credentials')
    return signedIn(env, user.userId, body)
  },
)
