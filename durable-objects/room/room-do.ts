/**
 * One room: its DAG, its order, its state. `idFromName(room_id)`.
 *
 * This class is the RPC surface and nothing else: each method hands over to the file that holds the idea. Expected
 * failures are data. What has to be read, decided and written together happens in one synchronous turn.
 */
import { DurableObject } from 'cloudflare:workers'

import type { Env } from '../../worker/env.ts'
import { settingsOf } from '../../worker/settings.ts'
import { openRoom, type Room } from './room.ts'

export class RoomDO extends DurableObject<Env> {
  readonly #room: Room

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#room = openRoom(ctx.storage, settingsOf(env).serverName)
  }

  // —— Making the room and changing it ——

  // —— Reading it ——

  // —— Receipts, typing ——

  // —— Sync ——
}
