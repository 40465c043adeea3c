/**
 * "Send me a test push": whether notifications of a user arrive, asked of every gateway, browser and mailbox there is. For the
 * user and for admins of this server; no part of the specification.
 */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import { testNotification } from '#protocol/push-rules/test-push.ts'

import { findUser } from '../accounts/users.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { demandAdmin } from './admin.ts'

export const testPush = operation(
  'POST /_hearth/admin/users/:userId/test_push',
  { id: 'testPush', auth: 'accessToken', fresh: true },
  async ({ env, settings, requester, path: { userId } }) => {
    if (requester.userId !== userId) demandAdmin(requester)
    // A letter may go out.
    limitUser('mail', requester.userId, settings)
    const isHere = serverNameOf(userId) === settings.serverName && (await findUser(env, userId)) !== undefined
    if (!isHere) refuse('not_found', 'User not found.')
    const pushers = await userSyncOf(env, userId).testPushers(testNotification(settings.serverName))
    return { pushers }
  },
)
