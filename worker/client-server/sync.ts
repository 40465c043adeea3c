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

import type { Read } from '../../durable-objects/user-sync/read.ts'
import type { Env } from '../env.ts'
import { operation, type Requester } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { buildAnswer, emptyAnswer } from '../sync/build-answer.ts'
import { gatherRooms } from '../sync/gather-rooms.ts'
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
}

/** Spec: client-server-api/#get_matrixclientv3sync */
export const sync = operation(
  'GET /_matrix/client/v3/sync',
  { id: 'sync', auth: 'accessToken', guests: true, endsWithDevice: true, r0: true },
  async ({ env, requester, query }) => {
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
        wait,
      }
      const news = await waitForNews(env, requester.userId, request, left)
      if (news.kind === 'idle') return emptyAnswer(news.idle.nextBatch, news.idle.keys)
      if (news.kind === 'again') {
        since = news.idle.nextBatch
        if (news.lost) await pause()
        continue
      }
      const answering = new Answering(env, requester, asked, unwrap(news.read))
      if (answering.read.everything) return answerWithEverything(answering, waitUntil)
      const { answer, saysSomething, hasFailures } = await answerWithNews(answering)
      if (saysSomething || Date.now() >= deadline) return answer
      if (hasFailures) await pause()
      since = answer.next_batch
    }
  },
)
function parseQuery(query: URLSearchParams): Asked {
  oneOf(query, 'set_presence', ['offline', 'online', 'unavailable'])
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
  }
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
