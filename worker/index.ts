/** Entry of the Worker: HTTP goes to the app, cron to what tidies up; the Durable Object classes are the platform's. */
import { forgetOldPlaces } from './accounts/rendezvous.ts'
import { createApp } from './app.ts'
import type { Env } from './env.ts'
import { tidyMedia } from './media/tidy-media.ts'
import { followReplacements } from './policy-succession.ts'
import { tellRoomsOfRetention } from './retention-round.ts'
import { setUp } from './set-up.ts'

export { FederationSenderDO } from '../durable-objects/federation-sender/federation-sender-do.ts'
export { PasswordDO } from '../durable-objects/password/password-do.ts'
export { RoomDO } from '../durable-objects/room/room-do.ts'
export { UserSyncDO } from '../durable-objects/user-sync/user-sync-do.ts'

const app = createApp()

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
  async scheduled(_, env) {
    await setUp(env)
    await tidyMedia(env, Date.now())
    await forgetOldPlaces(env, Date.now())
    await tellRoomsOfRetention(env)
    await followReplacements(env)
  },
} satisfies ExportedHandler<Env>
