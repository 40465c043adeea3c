/** What this server lets its users do. Spec: client-server-api/#capabilities-negotiation, capabilities.yaml. */
import { maxDelay, maxDelayed } from '#protocol/delayed-limits.ts'
import { roomVersions, unstableRoomVersions } from '#protocol/room-versions/rules.ts'

import { vapidKey } from '../accounts/vapid-key.ts'
import { mailerOf } from '../mail/mail.ts'
import { operation } from '../operation.ts'

/** Spec: client-server-api/#get_matrixclientv3capabilities */
export const getCapabilities = operation(
  'GET /_matrix/client/v3/capabilities',
  { id: 'getCapabilities', auth: 'accessToken', guests: true, r0: true },
  async ({ env, settings, requester: { isGuest, isAdmin } }) => ({
    capabilities: {
      'm.change_password': { enabled: !isGuest },
      'm.forget_forced_upon_leave': { enabled: false },
      'm.room_versions': {
        default: settings.defaultRoomVersion,
        available: Object.fromEntries([
          ...roomVersions.map((version) => [version, 'stable']),
          ...unstableRoomVersions.map((version) => [version, 'unstable']),
        ]),
      },
      'm.profile_fields': { enabled: true, ...(isGuest ? { allowed: ['displayname'] } : {}) },
      'm.set_displayname': { enabled: true },
      'm.set_avatar_url': { enabled: !isGuest },
      'm.3pid_changes': { enabled: !isGuest && mailerOf(env) !== undefined },
      // Guests have no pushers.
      ...(isGuest ? {} : { 'org.matrix.msc4174.webpush': { enabled: true, vapid: (await vapidKey(env)).publicKey } }),
      'org.matrix.msc4140.delayed_events': { max_delay_ms: maxDelay, max_scheduled: maxDelayed },
      // "Should be omitted altogether if `suspend` and `lock` would be `false`."
      ...(isAdmin ? { 'm.account_moderation': { suspend: true, lock: true } } : {}),
      'm.get_login_token': { enabled: !isGuest },
    },
  }),
)
