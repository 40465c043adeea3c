/**
 * TURN servers for calls. Spec: client-server-api/#voice-over-ip, data/api/client-server/voip.yaml.
 *
 * The credentials are those of the TURN REST API that coturn speaks (`use-auth-secret`): the name says until when they hold,
 * the password is its HMAC-SHA1 under the secret that is shared with the TURN servers.
 */
import { createHmac } from 'node:crypto'

import type { UserId } from '#protocol/identifiers/user-id.ts'

import { operation } from '../operation.ts'
import type { TurnSettings } from '../settings.ts'

/** Seconds that credentials hold. */
const lifetime = 86_400

/** An empty object where there are no TURN servers. Spec: client-server-api/#get_matrixclientv3voipturnserver */
export const getTurnServer = operation(
  'GET /_matrix/client/v3/voip/turnServer',
  { id: 'getTurnServer', auth: 'accessToken', r0: true },
  ({ settings: { turn }, requester: { userId } }) => {
    return turn ? turnCredentials(turn, userId, Date.now()) : {}
  },
)

/** `now` in milliseconds since 1970. */
export function turnCredentials({ uris, secret }: TurnSettings, userId: UserId, now: number) {
  const username = `${Math.floor(now / 1000) + lifetime}:${userId}`
  const password = createHmac('sha1', secret).update(username).digest('base64')
  return { username, password, uris, ttl: lifetime }
}
