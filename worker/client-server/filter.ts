/**
 * Filters that clients store, to name them by ID later.
 *
 * Spec: client-server-api/#filtering, data/api/client-server/filter.yaml.
 */
import { parseSyncFilter } from '#protocol/filters/parse-filter.ts'

import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { demandSelf } from './account-data.ts'
import { jsonObject } from './parameters.ts'

/** Spec: client-server-api/#post_matrixclientv3useruseridfilter */
export const defineFilter = operation(
  'POST /_matrix/client/v3/user/:userId/filter',
  { id: 'defineFilter', auth: 'accessToken', body: jsonObject, maxBody: 64 * 1024, guests: true, r0: true },
  async ({ env, requester, path: { userId }, body }) => {
    demandSelf(requester, userId)
    const parsed = parseSyncFilter(body)
    if (!parsed.ok) refuse('bad_json', `The filter is malformed at "${parsed.path}"`)
    const { filterId } = unwrap(await userSyncOf(env, userId).storeFilter(body))
    return { filter_id: filterId }
  },
)

/** Spec: client-server-api/#get_matrixclientv3useruseridfilterfilterid */
export const getFilter = operation(
  'GET /_matrix/client/v3/user/:userId/filter/:filterId',
  { id: 'getFilter', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester, path: { userId, filterId } }) => {
    demandSelf(requester, userId)
    return unwrap(await userSyncOf(env, userId).filter(filterId)).filter
  },
)
