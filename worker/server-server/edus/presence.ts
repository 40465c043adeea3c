/** Spec: server-server-api/#presence. Dropped before anything is asked where presence is off. */
import { parsePresenceEdu } from '#protocol/presence/presence.ts'

import { userSyncOf } from '../../sync/user-sync.ts'
import { settingsOf } from '../../settings.ts'
import { usersWith } from './device-list-update.ts'
import type { EduHandler } from './receive-edus.ts'

export const receivePresence: EduHandler = async (env, origin, contents) => {
  if (!settingsOf(env).presence) return
  const latest = new Map(contents.flatMap((content) => parsePresenceEdu(origin, content, Date.now())))
  for (const [userId, presence] of latest) {
    const users = await usersWith(env, userId)
    await Promise.all(users.map((user) => userSyncOf(env, user).presenceTold({ userId, presence, ask: false })))
  }
}
