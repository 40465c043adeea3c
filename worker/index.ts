/** Entry of the Worker: HTTP goes to the app; the Durable Object classes are exported for the platform. */
import { createApp } from './app.ts'
import type { Env } from './env.ts'

export { FederationSenderDO } from '../durable-objects/federation-sender/federation-sender-do.ts'
export { PasswordDO } from '../durable-objects/password/password-do.ts'
export { RoomDO } from '../durable-objects/room/room-do.ts'
export { UserSyncDO } from '../durable-objects/user-sync/user-sync-do.ts'

const app = createApp()

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
} satisfies ExportedHandler<Env>
