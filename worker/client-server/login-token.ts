/** Tokens by which a further client signs in. Spec: client-server-api/#post_matrixclientv1loginget_token, login_token.yaml. */
import { authenticate } from '../accounts/interactive-auth.ts'
import { loginTokenLifetime, newLoginToken } from '../accounts/login-tokens.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { jsonObject } from './parameters.ts'

/** "Servers MUST always re-prompt the user for verification": a session of user-interactive authentication is good once. */
export const generateLoginToken = operation(
  'POST /_matrix/client/v1/login/get_token',
  {
    id: 'generateLoginToken',
    auth: 'accessToken',
    fresh: true,
    body: jsonObject,
    bodyOptional: true,
    aliases: [
      '/_matrix/client/unstable/org.matrix.msc3882/login/get_token',
      '/_matrix/client/unstable/org.matrix.msc3882/login/token',
    ],
  },
  async ({ env, settings, requester: { userId }, body }) => {
    limitUser('loginToken', userId, settings)
    const operation = 'POST /login/get_token'
    const authenticated = await authenticate(env, { operation, userId, body, flows: [['m.login.password']] })
    if (!authenticated.ok) return authenticated.response
    return { login_token: await newLoginToken(env, userId, Date.now()), expires_in_ms: loginTokenLifetime }
  },
)
