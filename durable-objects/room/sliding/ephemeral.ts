/**
 * Receipts and typing users, for the extensions.
 *
 * Spec: MSC3960, MSC3961. With a timeline that is new to the client come the receipts at its events and the reader's own;
 * later those that changed.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { receiptEvents } from '../receipts.ts'
import { typistsFor } from '../typing.ts'
import type { View } from '../visibility.ts'
import type { Span } from './inside-slice.ts'
import type { SlidingAsked, SlidingSlice } from './sliding-slice.ts'

export interface Ephemeral {
  readonly events: Pick<SlidingSlice, 'receipt' | 'typing'>
  /** The reader moved a receipt of theirs since: the counts may be others. */
  readonly hasRead: boolean
}

export function ephemeralFor({ view, sliding }: SlidingAsked, span: Span, isIn: boolean): Ephemeral {
  const from = span.initial ? undefined : sliding.given
  if (!isIn) return { events: {}, hasRead: false }
  const receipt = sliding.receipts ? receiptsFor(view, span, from?.pos ?? 0, sliding.ignoredUsers) : undefined
  const typing = sliding.typing ? typingFor(view, from?.typing, sliding.ignoredUsers) : undefined
  return {
    events: { ...(receipt ? { receipt } : {}), ...(typing ? { typing } : {}) },
    hasRead: from ? hasReadSince(view, from.pos) : false,
  }
}

function receiptsFor(
  view: View,
  { initial, expanded, timeline }: Span,
  from: number,
  ignoredUsers: readonly string[],
): JsonObject | undefined {
  const isNew = initial || expanded
  const shown = new Set<string>(timeline?.events.map(({ event_id }) => event_id))
  const content: Record<string, Record<string, Record<string, JsonObject>>> = {}
  for (const event of receiptEvents(view, isNew ? 0 : from, ignoredUsers)) {
    for (const [eventId, types] of entries(event.content)) {
      for (const [type, users] of entries(types)) {
        for (const [user, receipt] of entries(users)) {
          if (isNew && user !== view.reader && !shown.has(eventId)) continue
          // Of several threads at one event one receipt finds room; the unthreaded one says most.
          const at = ((content[eventId] ??= {})[type] ??= {})
          if (at[user] === undefined || own(receipt, 'thread_id') === undefined) at[user] = receipt
        }
      }
    }
  }
  return Object.keys(content).length > 0 ? { type: 'm.receipt', content } : undefined
}

function entries(object: JsonObject): [string, JsonObject][] {
  return Object.keys(object).flatMap((key) => {
    const value = own(object, key)
    return isObject(value) ? [[key, value]] : []
  })
}

function typingFor({ room }: View, known: number | undefined, ignoredUsers: readonly string[]): JsonObject | undefined {
  const { typing } = room.memory
  if (known === undefined ? typing.isQuiet : known === typing.version) return undefined
  return { type: 'm.typing', content: { user_ids: typistsFor(room, ignoredUsers) } }
}

function hasReadSince({ room, reader }: View, pos: number): boolean {
  const query = 'SELECT 1 AS found FROM receipts WHERE pos > ? AND user_id = ? LIMIT 1'
  return room.reader.sql.exec(query, pos, reader).toArray().length > 0
}
