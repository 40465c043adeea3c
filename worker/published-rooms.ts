/**
 * The rooms published here, page by page: for clients and, where the owner wants that, for other servers.
 *
 * Spec: client-server-api/#published-room-directory, server-server-api/#published-room-directory.
 */
import * as v from 'valibot'

import { type DirectoryEntry, type DirectoryPosition, listRooms } from './accounts/public-rooms.ts'
import { printPosition, readPosition } from './directory-position.ts'
import type { Env } from './env.ts'
import { refuse } from './refusal.ts'
import { renewDirectory } from './room-directory.ts'

/** What both sides ask with. */
export const directoryQuestion = v.looseObject({
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  since: v.optional(v.string()),
  filter: v.optional(
    v.looseObject({
      generic_search_term: v.optional(v.string()),
      room_types: v.optional(v.pipe(v.array(v.nullable(v.string())), v.maxLength(50))),
    }),
  ),
  include_all_networks: v.optional(v.boolean()),
  third_party_instance_id: v.optional(v.string()),
})
export type DirectoryQuestion = v.InferOutput<typeof directoryQuestion>

/** Rooms on one page at most, and on one whose size nobody asked for. */
export const mostRooms = 100

/** A page, largest rooms first. Refuses tokens of other directories. */
export async function listPublished(env: Env, question: DirectoryQuestion) {
  // No network but Matrix has rooms here.
  if (question.third_party_instance_id !== undefined) return { chunk: [], total_room_count_estimate: 0 }
  const { since, filter } = question
  const position = since === undefined ? undefined : (readPosition(since) ?? refuse('invalid_param', 'Unknown token'))
  const limit = Math.min(question.limit || mostRooms, mostRooms)
  await renewDirectory(env)
  // One more than asked for tells whether there is another page that way.
  const { entries, total } = await listRooms(env, {
    limit: limit + 1,
    position,
    search: filter?.generic_search_term || undefined,
    roomTypes: filter?.room_types,
  })
  return { ...pageOf(entries, limit, position), total_room_count_estimate: total }
}

function pageOf(entries: readonly DirectoryEntry[], limit: number, position: DirectoryPosition | undefined) {
  const forwards = position?.forwards ?? true
  const more = entries.length > limit
  // Largest first in both directions, so what is over lies at the far end of the way.
  const chunk = forwards ? entries.slice(0, limit) : entries.slice(-limit)
  const [first, last] = [chunk[0], chunk.at(-1)]
  const hasNext = forwards ? more : position !== undefined
  const hasPrevious = forwards ? position !== undefined : more
  return {
    chunk,
    ...(hasNext && last ? { next_batch: printPosition(true, last) } : {}),
    ...(hasPrevious && first ? { prev_batch: printPosition(false, first) } : {}),
  }
}
