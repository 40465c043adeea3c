/**
 * `/sync`: everything that happened to a user since a token, or the next thing to happen.
 *
 * Spec: client-server-api/#syncing, data/api/client-server/sync.yaml. Read the stream; if there is nothing, wait; fetch
 * what changed from the rooms; note how far that went; answer. An answer that turns out empty is not sent before the
 * client's time is over.
 */
import type { SyncFilter } from '#protocol/filters/filter.ts'
import { parseSyncFilter } from '#protocol/filters/parse-filter.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import { profileFieldsKey } from '#protocol/sync/profile-fields.ts'

import { type PresenceState, presenceStates } from '#protocol/presence/presence.ts'

import type { Read } from '../../durable-objects/user-sync/read.ts'
import type { Env } from '../env.ts'
import { operation, type Requester } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { emptyAnswer, otherParts, roomJson } from '../sync/build-answer.ts'
import { companyOf, type Company, deviceLists } from '../sync/device-lists.ts'
import { type Gathered, gatherRooms, type Reader, type Section } from '../sync/gather-rooms.ts'
import { seenPeople, syncedProfiles } from '../sync/profile-updates.ts'
import { streamAnswer } from '../sync/stream-answer.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { waitForNews } from '../sync/wait-for-news.ts'
import { oneOf, wholeNumber } from './parameters.ts'

/** A client that asks for more waits this long, in ms, and then asks again. */
const longestWait = 120_000
/** Before the next attempt when a room or the user's object could not be reached, in ms; twice as long each time. */
const firstPause = 1000

interface Asked {
  readonly since: string | undefined
  readonly fullState: boolean
  readonly useStateAfter: boolean
  readonly filterId: string | undefined
  readonly inlineFilter: SyncFilter | undefined
  readonly timeout: number
  readonly presence: PresenceState
}

/** Spec: client-server-api/#get_matrixclientv3sync */
export const sync = operation(
  'GET /_matrix/client/v3/sync',
  { id: 'sync', auth: 'accessToken', guests: true, endsWithDevice: true, r0: true },
  async (call) => {
    const { env, requester, query, settings } = call
    const asked = parseQuery(query)
    const deadline = Date.now() + asked.timeout
    let since = asked.since
    let setbacks = 0
    const pause = () => sleep(Math.min(firstPause * 2 ** setbacks++, deadline - Date.now()))
    for (;;) {
      const left = Math.max(0, deadline - Date.now())
      // "If this is set to `true` … the query will return immediately"; so does an initial sync.
      const wait = left > 0 && since !== undefined && !asked.fullState
      const request = {
        deviceId: requester.deviceId,
        since,
        fullState: asked.fullState,
        filterId: asked.filterId,
        includeLeave: asked.inlineFilter?.room?.include_leave === true,
        ...(asked.inlineFilter ? { profileFields: profileFieldsIn(asked.inlineFilter) } : {}),
        ...(settings.presence ? { presence: asked.presence } : {}),
        wait,
      }
      const news = await waitForNews(env, requester.userId, request, left)
      if (news.kind === 'idle') return emptyAnswer(news.idle.nextBatch, news.idle.keys)
      if (news.kind === 'again') {
        since = news.idle.nextBatch
        if (news.lost) await pause()
        continue
      }
      const read = unwrap(news.read)
      const answering = begin(env, requester, asked, read)
      // An initial sync is answered at once, even if there is nothing.
      if (read.everything && read.rooms.length > 0) {
        return answerWithEverything(answering, (work) => call.waitUntil(work))
      }
      const { answer, saysSomething, hasFailures } = await answerWithNews(answering)
      if (saysSomething || read.everything || Date.now() >= deadline) return answer
      if (hasFailures) await pause()
      since = answer.next_batch
    }
  },
)

interface Answering {
  readonly env: Env
  readonly reader: Reader
  readonly filter: SyncFilter
  readonly read: Read
}

function begin(env: Env, { userId, deviceId }: Requester, asked: Asked, read: Read): Answering {
  const filter = asked.inlineFilter ?? (read.filter ? checkFilter(read.filter) : {})
  const reader = {
    userId,
    deviceId,
    filter: filter.room ?? {},
    eventFormat: filter.event_format ?? 'client',
    fullState: asked.fullState,
    useStateAfter: asked.useStateAfter,
  }
  return { env, reader, filter, read }
}

/** All rooms, written out as they come. */
function answerWithEverything(answering: Answering, waitUntil: (work: Promise<unknown>) => void): Response {
  const { env, reader, filter, read } = answering
  const { response, done } = streamAnswer(async (take) => {
    const { people, see } = seenPeople(read)
    const gathered = await gatherRooms(env, reader, read, async (room) => {
      see(room)
      const json = roomJson(room, filter, true)
      if (json) await take(room, json)
    })
    const company = await companyOf(env, reader.userId, gathered.memberChanges)
    return {
      ...otherParts(env, reader.userId, read, filter, deviceLists(read.deviceLists, company)),
      ...(await profilesPart(answering, people, company)),
      ...emptyAnswer(await commit(answering, gathered), read.keys),
    }
  })
  waitUntil(done)
  return response
}

/** What happened since the token, which is little; and whether anything of it passed the filter. */
async function answerWithNews(answering: Answering) {
  const { env, reader, filter, read } = answering
  const rooms: { [Name in Section]?: Record<string, object> } = {}
  const { people, see } = seenPeople(read)
  const gathered = await gatherRooms(env, reader, read, (room) => {
    see(room)
    const json = roomJson(room, filter)
    if (json) (rooms[room.section] ??= {})[room.roomId] = json
  })
  const company = await companyOf(env, reader.userId, gathered.memberChanges)
  const parts = {
    ...(Object.keys(rooms).length > 0 ? { rooms } : {}),
    ...otherParts(env, reader.userId, read, filter, deviceLists(read.deviceLists, company)),
    ...(await profilesPart(answering, people, company)),
  }
  const answer = { ...emptyAnswer(await commit(answering, gathered), read.keys), ...parts }
  return { answer, saysSomething: Object.keys(parts).length > 0, hasFailures: gathered.failed.length > 0 }
}

/** MSC4429 (unstable). */
function profilesPart({ env, reader, filter, read }: Answering, people: Iterable<string>, company: Company) {
  const isLazy = filter.room?.state?.lazy_load_members === true
  return syncedProfiles(env, { userId: reader.userId, isLazy }, read, people, company)
}

/** Notes how far the answer went; returns its `next_batch`. */
async function commit({ env, reader, read }: Answering, { served, failed }: Gathered): Promise<string> {
  if (served.length === 0 && failed.length === 0) return read.nextBatch
  return userSyncOf(env, reader.userId).commit({ token: read.token, served, failed })
}

function parseQuery(query: URLSearchParams): Asked {
  // "The server will detect whether it is an ID or a JSON object by whether the first character is a `{`".
  const filter = query.get('filter') || undefined
  const isInline = filter?.startsWith('{') === true
  return {
    since: query.get('since') || undefined,
    fullState: oneOf(query, 'full_state', ['true', 'false']) === 'true',
    useStateAfter: oneOf(query, 'use_state_after', ['true', 'false']) === 'true',
    filterId: isInline ? undefined : filter,
    inlineFilter: isInline ? checkFilter(parseJson(filter)) : undefined,
    timeout: wholeNumber(query, 'timeout', 0, longestWait),
    // "If omitted then the client is automatically marked online when it uses this API."
    presence: oneOf(query, 'set_presence', presenceStates) ?? 'online',
  }
}

/** Who waits is kept with a socket, which has little room; a stored filter is kept elsewhere. */
const longestInline = 1_000

function profileFieldsIn(filter: SyncFilter): readonly string[] {
  const names = filter[profileFieldsKey]?.ids ?? []
  return JSON.stringify(names).length <= longestInline
    ? names
    : refuse('bad_json', 'So many profile fields can be named by a stored filter only')
}

function parseJson(text: string): JsonValue {
  try {
    return JSON.parse(text)
  } catch {
    return refuse('not_json', 'The filter is not JSON')
  }
}

function checkFilter(json: JsonValue): SyncFilter {
  const parsed = parseSyncFilter(json)
  return parsed.ok ? parsed.filter : refuse('bad_json', `The filter is malformed at "${parsed.path}"`)
}

async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
}
