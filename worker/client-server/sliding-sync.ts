/**
 * Simplified sliding sync: the rooms that a client looks at, and no others.
 *
 * Spec: MSC4186. Read the stream for the client's connection; if there is nothing, wait; ask the rooms that changed; note
 * what they gave; answer. What turns out empty is not sent before the client's time is over.
 */
import { hasSlidingNews, idleOf, type SlidingRead } from '../../durable-objects/user-sync/sliding/sliding-read.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { companyOf, deviceLists } from '../sync/device-lists.ts'
import { gatherSliding } from '../sync/gather-sliding.ts'
import { givesKeysToDo } from '../sync/key-business.ts'
import { slidProfiles } from '../sync/profile-updates.ts'
import { idleAnswer, saysSomething, slidingAnswer } from '../sync/sliding-answer.ts'
import { paramsOf, slidingBody } from '../sync/sliding-body.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { waitForSlidingNews } from '../sync/wait-for-sliding-news.ts'
import { oneOf, wholeNumber } from './parameters.ts'

const longestWait = 120_000
/** Before the next attempt when something could not be reached, in ms; twice as long each time. */
const firstPause = 1000
const noDeviceLists = { changed: [], left: [] } as const

/** Spec: MSC4186, POST /sync */
export const slidingSync = operation(
  'POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
  { id: 'slidingSync', auth: 'accessToken', guests: true, endsWithDevice: true, body: slidingBody, bodyOptional: true },
  async (call) => {
    const { env, requester, query, body } = call
    const { userId, deviceId } = requester
    oneOf(query, 'set_presence', ['offline', 'online', 'unavailable'])
    const deadline = Date.now() + wholeNumber(query, 'timeout', Math.min(body.timeout ?? 0, longestWait), longestWait)
    const pos = query.get('pos') || body.pos || undefined
    let stickySince = body.extensions?.['org.matrix.msc4354.sticky_events']?.since ?? undefined
    const request = {
      deviceId,
      connId: body.conn_id ?? '',
      pos,
      toDeviceSince: body.extensions?.to_device?.since ?? undefined,
      params: JSON.stringify(paramsOf(body)),
    }
    let setbacks = 0
    const pause = () => sleep(Math.min(firstPause * 2 ** setbacks++, deadline - Date.now()))
    for (;;) {
      const news = await waitForSlidingNews(
        env,
        userId,
        { ...request, stickySince },
        Math.max(0, deadline - Date.now()),
      )
      if (news.kind === 'idle') return idleAnswer(news.idle)
      if (news.kind === 'again') {
        if (news.lost) await pause()
        continue
      }
      const read = unwrap(news.read)
      if (!hasSlidingNews(read)) return idleAnswer(idleOf(read))
      const gathered = await gatherSliding(env, requester, read)
      const company = await companyOf(env, userId, gathered.memberChanges)
      const told = {
        deviceLists: read.extensions.e2ee ? deviceLists(read.deviceLists, company) : noDeviceLists,
        profiles: await slidProfiles(env, userId, read, gathered, company),
      }
      const isShown = saysSomething(read, gathered, told)
      const next = await userSyncOf(env, userId).commitSliding({
        connection: read.connection,
        turn: read.turn,
        after: read.after,
        afterRead: read.afterRead,
        read: read.read,
        slices: gathered.slices,
        others: othersOf(read),
        profiles: read.profiles.fields,
        isShown,
        keysToDo: isShown && givesKeysToDo(userId, read, gathered),
      })
      // Another request on this connection has taken over: whoever sent this one has given it up.
      if (next === null) return read.isInitial ? refuse('unknown_pos') : idleAnswer(idleOf(read))
      if (isShown) return slidingAnswer({ env, userId }, read, gathered, told, next)
      if (Date.now() >= deadline) return idleAnswer(idleOf(read))
      // What there was, such as events of somebody who is ignored, is not looked at again.
      stickySince = gathered.sticky?.nextBatch ?? stickySince
      if (gathered.hasFailures) await pause()
    }
  },
)

/** Rooms that come into the answer by their account data only. */
function othersOf({ roomAccountData }: SlidingRead) {
  return roomAccountData.flatMap(({ roomId, given, upTo }) =>
    given ? [[roomId, { ...given, accountAt: upTo }] as const] : [],
  )
}

async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
}
