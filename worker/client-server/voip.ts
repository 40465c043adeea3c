/**
 * TURN servers for calls. Spec: client-server-api/#voice-over-ip, data/api/client-server/voip.yaml.
 *
 * Credentials for servers of one's own are those of the TURN REST API that coturn speaks (`use-auth-secret`): the name says
 * until when they hold, the password is its HMAC-SHA1 under the secret that is shared with the TURN servers. Cloudflare's
 * are made by Cloudflare: ../calls/cloudflare-turn.ts.
 */
import { createHmac } from 'node:crypto'

import type { UserId } from '#protocol/identifiers/user-id.ts'

import { cloudflareCredentials } from '../calls/cloudflare-turn.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import type { SharedSecretTurn } from '../settings/turn.ts'

/** Seconds that credentials hold. */
const lifetime = 86_400

/**
 * An empty object where there are no TURN servers. Where there are some and Cloudflare gives nothing, that is an error:
 * clients go on without them, as with the empty object, but know that it is worth asking again.
 * Spec: client-server-api/#get_matrixclientv3voipturnserver
 */
export const getTurnServer = operation(
  'GET /_matrix/client/v3/voip/turnServer',
  { id: 'getTurnServer', auth: 'accessToken', r0: true },
  async ({ settings, requester: { userId } }) => {
    const { turn } = settings
    if (!turn || turn.kind === 'half') return {}
    if (turn.kind === 'shared_secret') return turnCredentials(turn, userId, Date.now())
    const given = await cloudflareCredentials(turn, settings)
    if (!given.ok) return refuse('bad_gateway', 'The TURN service gives no credentials')
    const { username, password, uris, expiresAt } = given
    return { username, password, uris, ttl: Math.floor((expiresAt - Date.now()) / 1000) }
  },
)

/** `now` in milliseconds since 1970. */
export function turnCredentials(
  { uris, secret }: Pick<SharedSecretTurn, 'uris' | 'secret'>,
  userId: UserId,
  now: number,
) {
  const username = `${Math.floor(now / 1000) + lifetime}:${userId}`
  const password = createHmac('sha1', secret).update(username).digest('base64')
  return { username, password, uris, ttl: lifetime }
}
