/**
 * Pages of thread subscriptions, for what the extension of sliding sync left out.
 *
 * Spec: MSC4308. Backwards only. `from` is a token of this list or of the extension's `prev_batch`; `to` may also be a `pos`.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { formatToDevice, parsePos, parseToDevice } from '#protocol/sliding-sync/tokens.ts'

import { subscriptionsBetween, type ThreadSubscription } from '../thread-subscriptions.ts'
import { readOfAnswer } from './connections.ts'
import type { SlidingState } from './read-sliding.ts'

export interface SubscriptionsPage {
  readonly changes: ThreadSubscription[]
  /** Where the next page begins; null where this one was not full. */
  readonly end: string | null
}

/** The newest changes after one position up to another. */
export function subscriptionsPage(
  { sql, stream }: Pick<SlidingState, 'sql' | 'stream'>,
  span: { readonly after: number; readonly upTo: number },
  limit: number,
): SubscriptionsPage {
  const changes = subscriptionsBetween(sql, span, limit)
  const oldest = changes.at(-1)
  const isFull = changes.length === limit && oldest !== undefined
  return { changes, end: isFull ? formatToDevice(oldest.position - 1, stream.epoch) : null }
}

export function listSubscriptions(
  state: SlidingState,
  { from, to, limit }: { readonly from: string | undefined; readonly to: string | undefined; readonly limit: number },
): Outcome<SubscriptionsPage> {
  const { sql, stream } = state
  const upTo = from === undefined ? stream.position : parseToDevice(from, stream)
  if (upTo === undefined) return fail('invalid_param', 'from is not a token of this list')
  const at = to === undefined ? undefined : parsePos(to, stream.epoch)
  const after = to === undefined ? 0 : at ? readOfAnswer(sql, at) : parseToDevice(to, stream)
  if (after === undefined) return fail('invalid_param', 'to is not a token of this list')
  return { ok: true, ...subscriptionsPage(state, { after, upTo }, limit) }
}
