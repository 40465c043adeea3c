/**
 * One run of the loss test: people talk in several rooms while five clients of two users listen over lines that break, and
 * the server is killed again and again. In the end every client must have heard everything, once, in one order, and the
 * counts of what is unread must be right.
 */
import { fieldOf, text } from '../../scripts/bench/client.ts'
import { dice } from './dice.ts'
import { asker, type Ask, insist } from './http.ts'
import { begin, drain, type Heard, listen } from './listener.ts'

export interface Server {
  readonly base: string
  /** Kills it at once and starts it anew on the same data. */
  restart(): Promise<void>
}

export interface LossPlan {
  readonly seed: number
  readonly events: number
  readonly restarts: number
}

export interface LossReport {
  readonly faults: readonly string[]
  readonly cut: number
  readonly lost: number
  readonly replayed: number
  readonly receipts: number
  readonly seconds: number
}

const [roomCount, senderCount] = [5, 6]
/** Clients of each of the two listeners. */
const devices = [3, 2]

export async function runLoss(server: Server, { seed, events, restarts }: LossPlan): Promise<LossReport> {
  const begun = performance.now()
  const roll = dice(seed)
  const nobody = asker(server.base)
  const name = `loss-${seed}-${Date.now().toString(36)}`
  const senders = await Promise.all(
    Array.from({ length: senderCount }, (_, n) => register(nobody, server, `${name}-s${n}`)),
  )
  const listeners = await Promise.all(devices.map((_, n) => register(nobody, server, `${name}-l${n}`)))
  const [owner] = senders
  if (!owner) throw new Error('nobody speaks')
  const rooms: string[] = []
  for (let n = 0; n < roomCount; n++) {
    const room = text(await insist(owner.ask, 'POST', '/createRoom', { preset: 'public_chat' }), 'room_id')
    for (const { ask } of [...senders.slice(1), ...listeners]) {
      await insist(ask, 'POST', `/rooms/${encodeURIComponent(room)}/join`, {})
    }
    rooms.push(room)
  }

  const said = new Map<string, Heard[]>(rooms.map((room) => [room, []]))
  const mentions = new Map<string, string>()
  let left = events
  const talk = async ({ ask }: Person) => {
    while (left > 0) {
      const number = (left -= 1)
      const room = rooms[roll(rooms.length)] ?? ''
      const mentioned = roll(20) === 0 ? listeners[roll(listeners.length)] : undefined
      const content = {
        msgtype: 'm.text',
        body: `event ${number}`,
        'm.mentions': mentioned ? { user_ids: [mentioned.userId] } : {},
      }
      const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/${number}`
      // Whoever had no answer sends it again: it must not be there twice.
      const eventId = text(await insist(ask, 'PUT', path, content), 'event_id')
      said.get(room)?.push({ room, eventId })
      if (mentioned) mentions.set(eventId, mentioned.userId)
    }
  }
  let isOver = false
  const clients: { person: Person; ask: Ask }[] = []
  for (const [n, person] of listeners.entries()) {
    clients.push({ person, ask: person.ask })
    for (let d = 1; d < (devices[n] ?? 1); d++) clients.push({ person, ask: await signIn(nobody, server, person) })
  }
  const firsts = await Promise.all(clients.map(({ ask }) => begin(ask)))
  const total = () => (isOver ? events : undefined)
  const listening = clients.map(({ ask }, n) => listen(ask, dice(seed * 100 + n), firsts[n] ?? '', total))
  const talking = Promise.all(senders.map(talk))
  const watching = (async () => {
    for (let n = 1; n <= restarts; n++) {
      await saidUntil(() => events - left >= Math.floor((events * n) / (restarts + 1)))
      await server.restart()
    }
  })()
  await Promise.all([talking, watching])
  isOver = true
  const heardAll = await Promise.all(listening)
  const results = await Promise.all(heardAll.map((result, n) => drain(clients[n]?.ask ?? nobody, result)))

  const faults: string[] = []
  const order = new Map<string, string[]>()
  for (const room of rooms) order.set(room, await history(owner.ask, room))
  for (const room of rooms) {
    const [inHistory, inAnswers] = [order.get(room) ?? [], said.get(room) ?? []]
    if (inHistory.length !== inAnswers.length)
      faults.push(`${room}: ${inAnswers.length} sent, ${inHistory.length} stored`)
  }
  for (const [n, { heard, counts, next }] of results.entries()) {
    for (const room of rooms) {
      const got = heard.filter((each) => each.room === room).map(({ eventId }) => eventId)
      faults.push(...differences(`client ${n} in ${room}`, got, order.get(room) ?? []))
    }
    const client = clients[n]
    if (!client) continue
    const read = results.flatMap((result, m) => (clients[m]?.person === client.person ? result.read : []))
    const fresh = await insist(
      client.ask,
      'GET',
      '/sync?filter=' + encodeURIComponent('{"room":{"timeline":{"limit":1}}}'),
    )
    for (const room of rooms) {
      const expected = unreadIn(
        order.get(room) ?? [],
        read.filter((each) => each.room === room),
        mentions,
        client.person,
      )
      const initial = fieldOf(fieldOf(fieldOf(fieldOf(fresh, 'rooms'), 'join'), room), 'unread_notifications')
      for (const [from, found] of [
        ['initial sync', initial],
        ['last sync', counts.get(room)],
      ] as const) {
        const [all, highlights] = [fieldOf(found, 'notification_count'), fieldOf(found, 'highlight_count')]
        if (all !== expected.all || highlights !== expected.highlights) {
          faults.push(
            `client ${n} in ${room}, ${from}: ${String(all)}/${String(highlights)}, not ${expected.all}/${expected.highlights}`,
          )
        }
      }
    }
    const again = await insist(client.ask, 'GET', `/sync?since=${encodeURIComponent(next)}&timeout=0`)
    if (fieldOf(again, 'rooms') !== undefined) faults.push(`client ${n}: there was more`)
  }
  const sum = (pick: (result: (typeof results)[number]) => number) =>
    results.reduce((total, result) => total + pick(result), 0)
  return {
    faults,
    cut: sum(({ cut }) => cut),
    lost: sum(({ lost }) => lost),
    replayed: sum(({ replayed }) => replayed),
    receipts: sum(({ read }) => read.length),
    seconds: Math.round((performance.now() - begun) / 1000),
  }
}

async function saidUntil(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((wake) => setTimeout(wake, 10))
}

interface Person {
  readonly name: string
  readonly userId: string
  readonly ask: Ask
}

async function register(nobody: Ask, { base }: Server, name: string): Promise<Person> {
  const body = { username: name, password: name, auth: { type: 'm.login.dummy' } }
  const account = await insist(nobody, 'POST', '/register', body)
  return { name, userId: text(account, 'user_id'), ask: asker(base, text(account, 'access_token')) }
}

async function signIn(nobody: Ask, { base }: Server, { name }: Person): Promise<Ask> {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user: name }, password: name }
  return asker(base, text(await insist(nobody, 'POST', '/login', body), 'access_token'))
}

/** All messages of a room, from its beginning. */
async function history(ask: Ask, room: string): Promise<string[]> {
  const found: string[] = []
  for (let from: unknown = ''; typeof from === 'string';) {
    const query = new URLSearchParams({ dir: 'f', limit: '500', ...(from === '' ? {} : { from }) })
    const page = await insist(ask, 'GET', `/rooms/${encodeURIComponent(room)}/messages?${query.toString()}`)
    const chunk = fieldOf(page, 'chunk')
    for (const event of Array.isArray(chunk) ? chunk : []) {
      if (fieldOf(event, 'type') === 'm.room.message') found.push(text(event, 'event_id'))
    }
    from = fieldOf(page, 'end')
  }
  return found
}

/** How a list differs from what it should be: lost, twice, or in another order. */
export function differences(where: string, got: readonly string[], wanted: readonly string[]): string[] {
  const unique = new Set(got)
  const [lost, twice] = [wanted.filter((id) => !unique.has(id)).length, got.length - unique.size]
  const known = new Set(wanted)
  const foreign = [...unique].filter((id) => !known.has(id)).length
  if (lost + twice + foreign > 0) return [`${where}: ${lost} lost, ${twice} twice, ${foreign} that were never said`]
  return got.every((id, index) => id === wanted[index]) ? [] : [`${where}: in another order`]
}

/** What is unread after these receipts: everything after the one that is furthest. */
export function unreadIn(
  order: readonly string[],
  read: readonly Heard[],
  mentions: ReadonlyMap<string, string>,
  { userId }: Pick<Person, 'userId'>,
): { all: number; highlights: number } {
  const places = new Map(order.map((id, index) => [id, index]))
  const furthest = Math.max(-1, ...read.map(({ eventId }) => places.get(eventId) ?? -1))
  const unread = order.slice(furthest + 1)
  return { all: unread.length, highlights: unread.filter((id) => mentions.get(id) === userId).length }
}
