/**
 * Keys of our users for other servers. Spec: server-server-api/#end-to-end-encryption, user_keys.yaml.
 *
 * "Requested users must be local to the receiving homeserver": others are not looked for, neither here nor over there.
 */
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'

import { claimLocal } from '../e2ee/claim-keys.ts'
import { parseClaim, parseQuery } from '../e2ee/key-requests.ts'
import { queryLocal } from '../e2ee/query-keys.ts'
import { operation } from '../operation.ts'
import { unwrap } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { jsonObject } from './bodies.ts'

/** Spec: server-server-api/#post_matrixfederationv1userkeysquery */
export const queryUserEncryptionKeys = operation(
  'POST /_matrix/federation/v1/user/keys/query',
  { id: 'queryUserEncryptionKeys', auth: 'server', body: jsonObject },
  async ({ env, settings, body }) => {
    const { wanted } = unwrap(parseQuery(body))
    const { user_signing_keys: _private, ...keys } = await queryLocal(env, oursOf(settings, wanted), undefined)
    return keys
  },
)

/** Spec: server-server-api/#post_matrixfederationv1userkeysclaim */
export const claimUserEncryptionKeys = operation(
  'POST /_matrix/federation/v1/user/keys/claim',
  { id: 'claimUserEncryptionKeys', auth: 'server', body: jsonObject },
  async ({ env, settings, body }) => {
    const { wanted } = unwrap(parseClaim(body))
    return { one_time_keys: await claimLocal(env, oursOf(settings, wanted)) }
  },
)

function oursOf<T>({ serverName }: Settings, wanted: ReadonlyMap<UserId, T>): ReadonlyMap<UserId, T> {
  return new Map([...wanted].filter(([userId]) => serverNameOf(userId) === serverName))
}
