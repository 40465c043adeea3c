/**
 * Takes a request of sliding sync to its connection: a new one, or the one that its `pos` names.
 *
 * Spec: MSC4186: "If the server no longer recognises the `pos` … respond with M_UNKNOWN_POS", and the client begins anew.
 */
import { fail, type Failure } from '#protocol/errors.ts'
import type { SlidingRequest } from '#protocol/sliding-sync/request.ts'
import { parsePos } from '#protocol/sliding-sync/tokens.ts'

import { seeDevice } from '../devices.ts'
import { dayOf } from '../prune.ts'
import { beginConnection, continueConnection, setParams } from './connections.ts'
import { readSliding, type SlidingState } from './read-sliding.ts'
import { hasSlidingNews, type SlidingRead } from './sliding-read.ts'

/** Who waits by sliding sync. What they ask for is kept with the connection: a socket has little room. */
export interface SlidingWaiter {
  readonly deviceId: string
  readonly connId: string
  readonly connection: number
  readonly pos: string
  readonly toDeviceSince: string | undefined
  readonly stickySince: string | undefined
  readonly turn: number
  /** Whether the answer will tell of the device's keys. */
  readonly keys: boolean
}

/**
 * Fails with `unknown_token` (the device was ended), `unknown_pos` or `invalid_param`. `now` in ms. A client has one request
 * at a time on a connection: the newest `turn` counts, and an answer to one that was given up is not noted.
 */
export function connect(
  state: SlidingState,
  request: SlidingRequest & { readonly turn?: number },
  now: number,
): SlidingRead | Failure {
  const { sql, stream } = state
  const { deviceId, connId, params, pos, toDeviceSince, stickySince } = request
  const keys = seeDevice(sql, deviceId, dayOf(now))
  if (!keys) return fail('unknown_token')
  const turn = request.turn ?? state.turns.next(now)
  const asked = { deviceId, toDeviceSince, stickySince, keys, turn, now, today: dayOf(now) }
  if (pos === undefined) {
    if (params === undefined) return fail('unknown_pos')
    return readSliding(state, beginConnection(sql, { deviceId, connId, params }, dayOf(now)), asked)
  }
  const at = parsePos(pos, stream.epoch)
  const connection = at && continueConnection(sql, { deviceId, connId, at }, dayOf(now))
  if (!connection) return fail('unknown_pos')
  if (request.turn === undefined) state.turns.taken(connection.id, turn)
  return readSliding(state, params === undefined ? connection : setParams(sql, connection, params), asked)
}

/** What a waiter is answered now: news, a failure, or (undefined) nothing yet. */
export function newsFor(state: SlidingState, waiter: SlidingWaiter, now: number): SlidingRead | Failure | undefined {
  const read = connect(state, waiter, now)
  return read.ok && !hasSlidingNews(read) ? undefined : read
}
