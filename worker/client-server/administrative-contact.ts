/**
 * The e-mail addresses of one's account. Spec: client-server-api/#adding-account-administrative-contact-information,
 * administrative_contact.yaml.
 *
 * This server asks no identity server: nothing is ever bound there, and so nothing can be unbound.
 */
import { parseEmailAddress } from '#protocol/identifiers/email-address.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { provenAddress } from '../accounts/email-sessions.ts'
import { authenticate } from '../accounts/interactive-auth.ts'
import { forgetPushers } from '../accounts/pushers.ts'
import { addThreepid, listThreepids, removeThreepid } from '../accounts/threepids.ts'
import type { Env } from '../env.ts'
import { mailerOf } from '../mail/mail.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation, type Requester } from '../operation.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'
import { clientSecret } from './request-token.ts'

const v3 = '/_matrix/client/v3/account/3pid'

/** Spec: client-server-api/#get_matrixclientv3account3pid */
export const getAccount3PIDs = operation(
  `GET ${v3}`,
  { id: 'getAccount3PIDs', auth: 'accessToken', r0: true },
  async ({ env, requester }) => ({ threepids: await listThreepids(env, requester.userId) }),
)

const credentials = v.looseObject({ client_secret: clientSecret, sid: v.string() })
const addBody = v.intersect([jsonObject, credentials])
const oldAddBody = v.intersect([jsonObject, v.looseObject({ three_pid_creds: credentials })])

/** Spec: client-server-api/#post_matrixclientv3account3pidadd */
export const add3PID = operation(
  `POST ${v3}/add`,
  { id: 'add3PID', auth: 'accessToken', fresh: true, body: addBody, r0: true },
  ({ env, settings, requester, body }) => add(env, settings, requester, { body, proof: body }),
)

/**
 * Deprecated; "the `bind` parameter has been removed, making this endpoint behave as though it was `false`". It asks for
 * the password like its successor, or a stolen access token would be as good as the account.
 *
 * Spec: client-server-api/#post_matrixclientv3account3pid
 */
export const post3PIDs = operation(
  `POST ${v3}`,
  { id: 'post3PIDs', auth: 'accessToken', fresh: true, body: oldAddBody, r0: true },
  ({ env, settings, requester, body }) => add(env, settings, requester, { body, proof: body.three_pid_creds }),
)

interface Wanted {
  readonly body: JsonObject
  readonly proof: v.InferOutput<typeof credentials>
}

async function add(env: Env, settings: Settings, { userId }: Requester, { body, proof }: Wanted) {
  limitUser('interactiveAuth', userId, settings)
  if (!mailerOf(env)) refuse('threepid_medium_not_supported', 'This server sends no e-mail')
  const operation = 'POST /account/3pid/add'
  const authenticated = await authenticate(env, { operation, userId, body, flows: [['m.login.password']] })
  if (!authenticated.ok) return authenticated.response
  const { sid, client_secret } = proof
  const proven = await provenAddress(env, { sid, clientSecret: client_secret, purpose: 'add' })
  if (!proven) return refuse('threepid_auth_failed')
  // "Homeservers should prevent the caller from adding a 3PID to their account if it has already been added to another."
  return (await addThreepid(env, userId, proven)) ? {} : refuse('threepid_in_use')
}

const bindBody = v.looseObject({
  client_secret: v.string(),
  id_server: v.string(),
  id_access_token: v.string(),
  sid: v.string(),
})

/** Spec: client-server-api/#post_matrixclientv3account3pidbind */
export const bind3PID = operation(
  `POST ${v3}/bind`,
  { id: 'bind3PID', auth: 'accessToken', body: bindBody, r0: true },
  () => refuse('server_not_trusted'),
)

const removeBody = v.looseObject({
  id_server: v.optional(v.nullable(v.string())),
  medium: v.picklist(['email', 'msisdn']),
  address: v.string(),
})

/** "If the homeserver does not know the original `id_server`, it MUST return … `no-support`." */
const unbindResult = { id_server_unbind_result: 'no-support' }

/** Spec: client-server-api/#post_matrixclientv3account3piddelete */
export const delete3pidFromAccount = operation(
  `POST ${v3}/delete`,
  { id: 'delete3pidFromAccount', auth: 'accessToken', fresh: true, body: removeBody, r0: true },
  async ({ env, requester, body: { medium, address } }) => {
    const email = medium === 'email' ? parseEmailAddress(address) : undefined
    if (email !== undefined) {
      await removeThreepid(env, requester.userId, email)
      // Letters to it end. Those of another spelling do when the next one is due.
      const letters = { appId: 'm.email', pushkey: email }
      await userSyncOf(env, requester.userId).removePusher(letters)
      await forgetPushers(env, requester.userId, [letters])
    }
    return unbindResult
  },
)

/** Spec: client-server-api/#post_matrixclientv3account3pidunbind */
export const unbind3pidFromAccount = operation(
  `POST ${v3}/unbind`,
  { id: 'unbind3pidFromAccount', auth: 'accessToken', body: removeBody, r0: true },
  () => unbindResult,
)
