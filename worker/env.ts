/** The bindings of wrangler.toml, as the Worker and every Durable Object sees them. */
import type { FederationSenderDO } from '../durable-objects/federation-sender/federation-sender-do.ts'
import type { PasswordDO } from '../durable-objects/password/password-do.ts'
import type { RoomDO } from '../durable-objects/room/room-do.ts'
import type { UserSyncDO } from '../durable-objects/user-sync/user-sync-do.ts'

export interface Env extends SettingVariables {
  readonly DB: D1Database
  readonly MEDIA: R2Bucket
  readonly ROOM: DurableObjectNamespace<RoomDO>
  readonly USER_SYNC: DurableObjectNamespace<UserSyncDO>
  readonly PASSWORD: DurableObjectNamespace<PasswordDO>
  readonly FEDERATION_SENDER: DurableObjectNamespace<FederationSenderDO>
}

/** Plain variables and secrets. `settings.ts` gives each its meaning, default and check. */
export interface SettingVariables {
  readonly SERVER_NAME: string
  readonly PUBLIC_URL?: string
  readonly REGISTRATION?: string
  readonly REGISTRATION_SHARED_SECRET?: string
  readonly RATE_LIMITS?: string
  readonly LOG_LEVEL?: string
  readonly DEFAULT_ROOM_VERSION?: string
  readonly ALLOW_PRIVATE_ADDRESSES?: string
  /** Name of the header with the client's address, or none. */
  readonly CLIENT_ADDRESS_HEADER?: string
  /** Megabytes of an upload at most. */
  readonly MAX_UPLOAD_MB?: string
  readonly PASSWORD_COST?: string
  /** URL of a DNS-over-HTTPS resolver with the JSON API, or off. */
  readonly DNS_OVER_HTTPS?: string
  /** Base64 of the 32-byte Ed25519 seed; without it the Worker makes a key and keeps it in D1. */
  readonly SIGNING_KEY?: string
}
