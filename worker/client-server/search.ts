/** Full-text search. Spec: client-server-api/#server-side-search, data/api/client-server/search.yaml. */
import { createHash } from 'node:crypto'

import { parseRoomEventFilter } from '#protocol/filters/parse-filter.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { parseSearchTerm } from '#protocol/search/search-query.ts'
import {
  formatSearchToken,
  parseSearchToken,
  type SearchGroup,
  type SearchToken,
} from '#protocol/search/search-token.ts'
import * as v from 'valibot'

import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { type Result, searchRooms, type SearchResults, statesOf } from '../search.ts'
import { ignoredBy } from './history-reader.ts'

const maxLimit = 100
const maxContext = 50
const maxTerm = 1000

const amount = v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)))
const roomEvents = v.looseObject({
  search_term: v.string(),
  keys: v.optional(v.array(v.picklist(['content.body', 'content.name', 'content.topic']))),
  filter: v.optional(v.unknown()),
  order_by: v.optional(v.picklist(['rank', 'recent'])),
  event_context: v.optional(
    v.looseObject({ before_limit: amount, after_limit: amount, include_profile: v.optional(v.boolean()) }),
  ),
  include_state: v.optional(v.boolean()),
  groupings: v.optional(
    v.looseObject({
      group_by: v.optional(v.array(v.looseObject({ key: v.picklist(['room_id', 'sender']) }))),
    }),
  ),
})
const body = v.looseObject({ search_categories: v.looseObject({ room_events: v.optional(roomEvents) }) })
type Wish = v.InferOutput<typeof roomEvents>

/** Spec: client-server-api/#post_matrixclientv3search */
export const search = operation(
  'POST /_matrix/client/v3/search',
  { id: 'search', auth: 'accessToken', body, r0: true },
  async ({ env, settings, requester: { userId: reader, deviceId }, body: asked, query }) => {
    limitUser('search', reader, settings)
    const wish = asked.search_categories.room_events
    if (!wish) return { search_categories: {} }
    if (wish.search_term.length > maxTerm) refuse('invalid_param', 'search_term is too long')
    const parsed = parseRoomEventFilter(wish.filter ?? {})
    if (!parsed.ok) return refuse('bad_json', `The filter is malformed at "${parsed.path}"`)
    const { limit = 10, ...filter } = parsed.filter
    const words = parseSearchTerm(wish.search_term, wish.keys)
    if (words === 'too_many') return refuse('invalid_param', 'search_term has too many words')
    const searched = nameOf(wish, filter)
    const from = tokenIn(query.get('next_batch'), searched)
    const order = wish.order_by ?? 'rank'
    const none: SearchResults = { results: [], count: 0, cursors: new Map(), isFull: false }
    const found = words
      ? await searchRooms(env, {
          reader,
          deviceId,
          match: words.match,
          order,
          filter,
          limit: Math.min(Math.max(limit, 1), maxLimit),
          ignoredUsers: await ignoredBy(env, reader),
          context: wish.event_context && contextWish(wish.event_context),
          cursors: from?.rooms ?? new Map(),
          group: from?.group,
        })
      : none
    const token = { search: searched, count: from?.count ?? found.count, rooms: found.cursors }
    const rooms = [...new Set(found.results.map(({ roomId }) => roomId))]
    return {
      search_categories: {
        room_events: {
          count: token.count,
          highlights: words?.highlights ?? [],
          results: found.results.map(({ hit, found: { result, context } }) => ({
            ...(hit.rank === undefined ? {} : { rank: hit.rank }),
            result,
            ...(context ? { context } : {}),
          })),
          ...(wish.include_state === true ? { state: await statesOf(env, reader, rooms) } : {}),
          ...groups(wish, found, token),
          ...(found.isFull ? { next_batch: formatSearchToken({ ...token, group: from?.group }) } : {}),
        },
      },
    }
  },
)

function contextWish({ before_limit = 5, after_limit = 5, include_profile }: NonNullable<Wish['event_context']>) {
  return {
    before: Math.min(before_limit, maxContext),
    after: Math.min(after_limit, maxContext),
    withProfiles: include_profile === true,
  }
}

/** What makes a search the same: a token goes on with nothing else. */
function nameOf({ search_term, keys, order_by }: Wish, filter: object): string {
  const sorted = Object.entries(filter).sort(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify([search_term, keys ?? null, order_by ?? null, sorted])
  return createHash('sha256').update(text).digest('base64url').slice(0, 12)
}

function tokenIn(text: string | null, searched: string): SearchToken | undefined {
  if (text === null || text === '') return undefined
  const token = parseSearchToken(text)
  return token?.search === searched ? token : refuse('invalid_param', 'That next_batch is not of this search')
}

/** "The response will contain a group entry for each distinct value." */
function groups({ groupings }: Wish, { results, isFull }: SearchResults, token: SearchToken): JsonObject {
  const keys = [...new Set(groupings?.group_by?.map(({ key }) => key))]
  if (keys.length === 0) return {}
  const grouped = keys.map((key): [string, JsonObject] => {
    const values = new Map<string, string[]>()
    for (const result of results) {
      const value = groupOf(result, key)
      values.set(value, [...(values.get(value) ?? []), result.found.result.event_id])
    }
    const entries = [...values].map(([value, ids], index): [string, JsonObject] => {
      const next = isFull ? { next_batch: formatSearchToken({ ...token, group: { key, value } }) } : {}
      return [value, { order: index + 1, results: ids, ...next }]
    })
    return [key, Object.fromEntries(entries)]
  })
  return { groups: Object.fromEntries(grouped) }
}

function groupOf({ roomId, hit }: Result, key: SearchGroup['key']): RoomId | Hit['sender'] {
  return key === 'room_id' ? roomId : hit.sender
}
type Hit = Result['hit']
