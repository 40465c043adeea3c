/** Changes of thread subscriptions as clients get them. Spec: MSC4308. */
import type { JsonObject } from '#protocol/json/json.ts'

import type { ThreadSubscription } from '../../durable-objects/user-sync/thread-subscriptions.ts'

/** `subscribed` and `unsubscribed`, each by room and thread; absent where empty. */
export function threadSubscriptionsJson(changes: readonly ThreadSubscription[]): JsonObject {
  const [subscribed, unsubscribed] = [true, false].map((wanted) => {
    const rooms: Record<string, Record<string, JsonObject>> = {}
    for (const { roomId, root, position, isSubscribed, isAutomatic } of changes) {
      if (isSubscribed !== wanted) continue
      const threads = (rooms[roomId] ??= {})
      threads[root] = wanted ? { bump_stamp: position, automatic: isAutomatic } : { bump_stamp: position }
    }
    return Object.keys(rooms).length > 0 ? rooms : undefined
  })
  return { ...(subscribed ? { subscribed } : {}), ...(unsubscribed ? { unsubscribed } : {}) }
}
