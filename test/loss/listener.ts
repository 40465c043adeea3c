/**
 * A client that syncs on a bad line: requests are cut off, answers are lost, and it begins again from tokens of long ago.
 *
 * What the holder of each token has heard is kept, so that a token that is used again must go on from exactly there. It
 * reads, too: receipts go out for events it has heard.
 */
import { fieldOf, text } from '../../scripts/bench/client.ts'
import type { Dice } from './dice.ts'
import { type Ask, insist } from './http.ts'

export interface Heard {
  readonly room: string
  readonly eventId: string
}

/** What was heard up to a token: what one answer brought, on top of what was heard before. */
interface Chain {
  readonly before: Chain | undefined
  readonly news: readonly Heard[]
}

export interface ListenerResult {
  readonly heard: readonly Heard[]
  /** Events that were read, in the order in which that was said and answered. */
  readonly read: readonly Heard[]
  readonly next: string
  /** The newest counts that came for each room. */
  readonly counts: ReadonlyMap<string, unknown>
  readonly cut: number
  readonly lost: number
  readonly replayed: number
}

const timelineLimit = 50

const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: timelineLimit } } }))
/** In ms. Longer than a room takes to tell what it could not tell when it was killed. */
const patience = 30_000

/** The token of a client that begins. */
export async function begin(ask: Ask): Promise<string> {
  return text(await insist(ask, 'GET', `/sync?filter=${filter}`), 'next_batch')
}

/** Syncs from `first` until `total` names how many events there are and all were heard, or nothing more comes for a while. */
export async function listen(
  ask: Ask,
  roll: Dice,
  first: string,
  total: () => number | undefined,
): Promise<ListenerResult> {
  const chains = new Map<string, Chain>([[first, { before: undefined, news: [] }]])
  const tokens = [first]
  const counts = new Map<string, unknown>()
  const read: Heard[] = []
  const tally = { cut: 0, lost: 0, replayed: 0 }
  let current = first
  let lastNews = performance.now()
  for (;;) {
    const over = total() !== undefined
    const goesBack = !over && roll(12) === 0
    const since = goesBack ? (tokens[Math.max(0, tokens.length - 1 - roll(40))] ?? first) : current
    const before = chains.get(since)
    const isCut = !over && roll(6) === 0
    const path = `/sync?since=${encodeURIComponent(since)}&timeout=1000&filter=${filter}`
    const answered = await ask('GET', path, undefined, isCut ? 1 + roll(80) : undefined)
    if (answered?.status !== 200) {
      tally.cut += 1
      if (answered && answered.status < 500) throw new Error(`sync: ${JSON.stringify(answered)}`)
      await new Promise((wake) => setTimeout(wake, 20))
      continue
    }
    const news: Heard[] = []
    const rooms = joinedRooms(answered.body)
    for (const [room, json] of rooms) news.push(...(await timelineOf(ask, room, json, since)))
    // The client died before it wrote the answer down.
    if (!over && roll(5) === 0) {
      tally.lost += 1
      continue
    }
    if (goesBack) tally.replayed += 1
    for (const [room, json] of rooms) {
      const unread = fieldOf(json, 'unread_notifications')
      if (unread !== undefined) counts.set(room, unread)
    }
    current = text(answered.body, 'next_batch')
    chains.set(current, { before, news })
    tokens.push(current)
    if (rooms.length > 0) lastNews = performance.now()
    if (over) {
      const heard = flat(chains.get(current))
      const isAll = new Set(heard.map(({ eventId }) => eventId)).size >= (total() ?? 0)
      if (isAll || performance.now() - lastNews > patience) return { heard, read, next: current, counts, ...tally }
    }
    const last = news.at(-1)
    if (last && !over && roll(8) === 0) {
      const { room, eventId } = last
      await insist(ask, 'POST', `/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`, {})
      read.push(last)
    }
  }
}

/** What came after all, once nobody says or reads anything any more. */
export async function drain(ask: Ask, before: ListenerResult): Promise<ListenerResult> {
  const [heard, counts] = [[...before.heard], new Map(before.counts)]
  for (let next = before.next; ;) {
    const body = await insist(ask, 'GET', `/sync?since=${encodeURIComponent(next)}&timeout=0&filter=${filter}`)
    const rooms = joinedRooms(body)
    if (rooms.length === 0) return { ...before, heard, counts, next }
    for (const [room, json] of rooms) {
      heard.push(...(await timelineOf(ask, room, json, next)))
      const unread = fieldOf(json, 'unread_notifications')
      if (unread !== undefined) counts.set(room, unread)
    }
    next = text(body, 'next_batch')
  }
}

function flat(chain: Chain | undefined): Heard[] {
  const parts: (readonly Heard[])[] = []
  for (let at = chain; at; at = at.before) parts.push(at.news)
  return parts.reverse().flat()
}

function joinedRooms(body: unknown): [string, unknown][] {
  const rooms = fieldOf(fieldOf(body, 'rooms'), 'join')
  return typeof rooms === 'object' && rooms !== null ? Object.entries(rooms) : []
}

/** The messages of a room's timeline; where it has a gap, those before as any client would fetch them. */
async function timelineOf(ask: Ask, room: string, json: unknown, since: string): Promise<Heard[]> {
  const timeline = fieldOf(json, 'timeline')
  const news = messages(room, fieldOf(timeline, 'events'))
  if (fieldOf(timeline, 'limited') !== true) return news
  const missed: Heard[][] = []
  for (let from: unknown = fieldOf(timeline, 'prev_batch'); typeof from === 'string';) {
    const query = new URLSearchParams({ dir: 'b', from, to: since, limit: '100' })
    const page = await insist(ask, 'GET', `/rooms/${encodeURIComponent(room)}/messages?${query.toString()}`)
    missed.push(messages(room, fieldOf(page, 'chunk')).reverse())
    from = fieldOf(page, 'end')
  }
  return [...missed.reverse().flat(), ...news]
}

function messages(room: string, events: unknown): Heard[] {
  return (Array.isArray(events) ? events : [])
    .filter((event) => fieldOf(event, 'type') === 'm.room.message')
    .map((event) => ({ room, eventId: text(event, 'event_id') }))
}
