/**
 * Sticky events for an answer of sliding sync, of as many rooms as fit. Spec: MSC4480 "Pagination": "the server returns a
 * limited number of the oldest sticky events that have not yet been delivered".
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { formatSticky } from '#protocol/sliding-sync/tokens.ts'

import type { StickyPage } from '../../durable-objects/room/sticky/sticky-slice.ts'
import type { StickyRoom } from '../../durable-objects/user-sync/sliding/read-sticky.ts'
import type { SlidingRead } from '../../durable-objects/user-sync/sliding/sliding-read.ts'

export interface GatheredSticky {
  readonly rooms: ReadonlyMap<RoomId, readonly JsonObject[]>
  readonly nextBatch: string
  readonly hasFailures: boolean
}

/** Asks the rooms; `ask` gives nothing where one cannot be reached: it and those after it are for the next answer. */
export async function gatherSticky(
  { sticky, extensions }: Pick<SlidingRead, 'sticky' | 'extensions'>,
  ask: (room: StickyRoom, limit: number) => Promise<StickyPage | undefined>,
): Promise<GatheredSticky | undefined> {
  if (!sticky || !extensions.sticky || sticky.rooms.length === 0) return undefined
  const { from, upTo, epoch, isCut } = sticky
  const { limit } = extensions.sticky
  // One more than is given shows whether there are more.
  const pages = await Promise.all(sticky.rooms.map((room) => ask(room, limit + 1)))
  const rooms = new Map<RoomId, readonly JsonObject[]>()
  let { round } = from
  let left = limit
  const inMidst = (hasFailures: boolean) => ({
    rooms,
    nextBatch: formatSticky({ at: from.at, round }, epoch),
    hasFailures,
  })
  for (const [index, { roomId, upTo: end }] of sticky.rooms.entries()) {
    const page = pages[index]
    if (!page) return inMidst(true)
    const given = page.events.slice(0, left)
    if (given.length > 0) rooms.set(roomId, given)
    left -= given.length
    const isAll = given.length === page.events.length
    const after = isAll ? page.upTo : page.positions[given.length - 1]
    if (after !== undefined) round = { upTo, roomId, after }
    if (!isAll || page.upTo < end) return inMidst(false)
  }
  return isCut ? inMidst(false) : { rooms, nextBatch: formatSticky({ at: upTo }, epoch), hasFailures: false }
}

/** "If a sticky event appears in the timeline …, it MUST NOT be included in the Sticky Events extension response." */
export function withoutShown(
  sticky: GatheredSticky | undefined,
  rooms: Readonly<Record<string, JsonObject>>,
): GatheredSticky | undefined {
  if (!sticky) return undefined
  const left = [...sticky.rooms].map(([roomId, events]) => {
    const timeline = own(rooms[roomId] ?? {}, 'timeline')
    const shown = new Set(
      Array.isArray(timeline) ? timeline.map((event) => isObject(event) && own(event, 'event_id')) : [],
    )
    return [roomId, events.filter((event) => !shown.has(own(event, 'event_id') ?? null))] as const
  })
  return { ...sticky, rooms: new Map(left.filter(([, events]) => events.length > 0)) }
}
