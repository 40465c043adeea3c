/** Refreshing access tokens. Spec: client-server-api/#refreshing-access-tokens, refresh.yaml. */
import * as v from 'valibot'

import { refreshSession } from '../accounts/access-tokens.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/** Spec: client-server-api/#post_matrixclientv3refresh */
export const refresh = operation(
  'POST /_matrix/client/v3/refresh',
  {
    id: 'refresh',
    auth: 'none',
    body: v.looseObject({ refresh_token: v.string() }),
    aliases: ['/_matrix/client/v1/refresh'],
  },
  async ({ env, settings, request, body }) => {
    limitAddress('refresh', request, settings)
    const tokens = await refreshSession(env, body.refresh_token, Date.now())
    if (tokens === 'locked') refuse('user_locked', undefined, { soft_logout: true })
    return tokens ?? refuse('unknown_token', 'The refresh token is unknown or has been used')
  },
)
