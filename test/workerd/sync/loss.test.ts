/**
 * A thousand events from twenty clients, while others sync over connections that break: nothing may be lost, nothing may
 * come twice, and order must hold.
 */
import { beforeAll, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { createRoom, join, say, sync } from './syncing.ts'

const senders = 20
const perSender = 50
const rooms: string[] = []
const people: User[] = []
let listener: User

beforeAll(async () => {
  listener = await registerUser('loss-listener')
  for (let n = 0; n < 3; n++) rooms.push(await createRoom(listener, { preset: 'public_chat' }))
  for (let n = 0; n < senders; n++) {
    const person = await registerUser(`loss-${n}`)
    people.push(person)
    for (const room of rooms) await join(person, room)
  }
}, 120_000)

/** Numbers that look random and are the same in every run. */
function dice(seed: number) {
  let state = seed
  return (sides: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

interface Heard {
  readonly room: string
  readonly body: string
}

/** Syncs until everything was heard or nothing more comes; drops answers and goes back to old tokens at random. */
async function listen(device: User, first: string, isOver: () => boolean, seed: number): Promise<Map<string, Heard[]>> {
  const roll = dice(seed)
  const filter = { room: { timeline: { limit: 100 } } }
  // What each token's holder has heard, in order: a token that is used again must go on from there.
  const heardBy = new Map<string, readonly Heard[]>([[first, []]])
  const tokens = [first]
  let current = first
  for (;;) {
    const over = isOver()
    const goesBack = !over && roll(10) === 0
    const since = goesBack ? (tokens[roll(tokens.length)] ?? first) : current
    const answer = await sync(device, { since, timeout: over ? 0 : 100, filter })
    const heard = [...(heardBy.get(since) ?? [])]
    for (const [room, { timeline }] of Object.entries(answer.rooms?.join ?? {})) {
      const news = (timeline?.events ?? [])
        .filter(({ type }) => type === 'm.room.message')
        .map(({ content }) => ({ room, body: String(content['body']) }))
      // From an old token there may be more than fits: then the rest is fetched as any client would.
      const missed = timeline?.limited ? await fill(device, room, timeline.prev_batch ?? '', since) : []
      heard.push(...missed, ...news)
    }
    if (over && answer.rooms === undefined) return byRoom(heard)
    // A broken connection: the client never saw this answer.
    if (roll(3) === 0 && !over) continue
    heardBy.set(answer.next_batch, heard)
    tokens.push(answer.next_batch)
    current = answer.next_batch
  }
}

async function fill(device: User, room: string, from: string, to: string): Promise<Heard[]> {
  const missed: Heard[] = []
  for (let at: string | undefined = from; at !== undefined;) {
    const query = new URLSearchParams({ dir: 'b', from: at, to, limit: '100' })
    const path = `/rooms/${encodeURIComponent(room)}/messages?${query.toString()}`
    const { status, text, body } = await device.get<{
      end?: string
      chunk: { type: string; content: { body?: string } }[]
    }>(path)
    expect(status, text).toBe(200)
    for (const { type, content } of body.chunk) {
      if (type === 'm.room.message') missed.unshift({ room, body: String(content.body) })
    }
    at = body.chunk.length === 0 ? undefined : body.end
  }
  return missed
}

function byRoom(heard: readonly Heard[]): Map<string, Heard[]> {
  return new Map(rooms.map((room) => [room, heard.filter((each) => each.room === room)]))
}

describe('with a thousand events from twenty clients', () => {
  test('every listener hears each once, in one order', { timeout: 240_000 }, async () => {
    const phone = await login(listener)
    const firstOf = await Promise.all([listener, phone].map(async (device) => (await sync(device)).next_batch))
    let sending = true
    const sent = Promise.all(
      people.map(async (person, n) => {
        for (let m = 0; m < perSender; m++) await say(person, rooms[(n + m) % rooms.length] ?? '', `${n}-${m}`)
      }),
    ).finally(() => (sending = false))
    const [atDesk, onPhone] = await Promise.all(
      [listener, phone].map((device, n) => listen(device, firstOf[n] ?? '', () => !sending, 17 + n)),
    )
    await sent
    const bodies = [...(atDesk?.values() ?? [])].flat().map(({ body }) => body)
    expect(bodies).toHaveLength(senders * perSender)
    expect(new Set(bodies).size).toBe(senders * perSender)
    for (const room of rooms) expect(onPhone?.get(room)).toEqual(atDesk?.get(room))
    // Each sender's messages of one room keep the order in which they were sent.
    for (const heard of atDesk?.values() ?? []) {
      const last = new Map<string, number>()
      for (const { body } of heard) {
        const [who = '', m = ''] = body.split('-')
        expect(Number(m)).toBeGreaterThan(last.get(who) ?? -1)
        last.set(who, Number(m))
      }
    }
  })
})
