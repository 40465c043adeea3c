/** The bindings of wrangler.toml, as the Worker and every Durable Object sees them. */
import type { FederationSenderDO } from '../durable-objects/federation-sender/federation-sender-do.ts'
import type { PasswordDO } from '../durable-objects/password/password-do.ts'
import type { RoomDO } from '../durable-objects/room/room-do.ts'
import type { UserSyncDO } from '../durable-objects/user-sync/user-sync-do.ts'
import type { PictureService } from '../r2-media/images-binding.ts'
import type { SettingVariables } from './setting-variables.ts'

/** The part of Cloudflare's Email binding that is used. */
export interface EmailCarrier {
  send(letter: {
    readonly from: string | { readonly email: string; readonly name: string }
    readonly to: string
    readonly subject: string
    readonly text: string
    readonly html: string
    readonly headers?: Readonly<Record<string, string>>
  }): Promise<unknown>
}

export interface Env extends SettingVariables {
  readonly DB: D1Database
  readonly MEDIA: R2Bucket
  readonly ROOM: DurableObjectNamespace<RoomDO>
  readonly USER_SYNC: DurableObjectNamespace<UserSyncDO>
  readonly PASSWORD: DurableObjectNamespace<PasswordDO>
  readonly FEDERATION_SENDER: DurableObjectNamespace<FederationSenderDO>
  /** Carries mail at Cloudflare, where wrangler.toml has it. */
  readonly EMAIL?: EmailCarrier
  /** Analytics Engine, where wrangler.toml has it: a data point for each request. */
  readonly METRICS?: AnalyticsEngineDataset
  /** Makes thumbnails at Cloudflare, where wrangler.toml has it. */
  readonly IMAGES?: PictureService
  /** Asks the web for previews in a local run: it connects to public addresses alone, whatever a name leads to. */
  readonly WEB?: Pick<Fetcher, 'fetch'>
  /** Takes mail on the machine of a local run. */
  readonly MAILBOX?: Fetcher
}
