/**
 * A client with a small window over several rooms, and everything that goes wrong: answers that are lost, objects that
 * restart, windows and limits that change, rooms that are left and joined again. Nothing may be lost, nothing may come twice.
 */
import { evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { createRoom, join, leave, say } from '../sync/syncing.ts'
import { idsIn, type SlidBody, type SlidRoom, trySlide } from './sliding.ts'

const seeds = Array.from({ length: 10 }, (_, n) => n + 1)
const steps = 120
const roomCount = 5

/** Numbers that look random and are the same in every run. */
function dice(seed: number) {
  let state = seed
  return (sides: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

/** What a client keeps of a room: its messages, with null where a gap is. */
type Kept = (string | null)[]

class SlidingClient {
  readonly #user: User
  /** What the holder of the current position has. */
  rooms = new Map<string, Kept>()
  #pos: string | undefined
  window = 2
  limit = 2

  constructor(user: User) {
    this.#user = user
  }

  /** Asks; `isLost`: never sees the answer. Returns what lists showed, unless there was nothing to be seen. */
  async poll(isLost: boolean): Promise<SlidBody | undefined> {
    const list = { ranges: [[0, this.window - 1]], required_state: [], timeline_limit: this.limit }
    const query = this.#pos === undefined ? {} : { pos: this.#pos }
    const { status, body, text } = await trySlide(this.#user, { lists: { rooms: list } }, query)
    expect(status, text).toBe(200)
    if (isLost) return undefined
    this.#pos = body.pos
    for (const [roomId, room] of Object.entries(body.rooms)) this.#take(roomId, room)
    return body
  }

  #take(roomId: string, room: SlidRoom): void {
    const news = (room.timeline ?? []).filter(({ type }) => type === 'm.room.message')
    const bodies = news.map(({ content }) => String(content['body']))
    const kept = room.initial ? [] : (this.rooms.get(roomId) ?? [])
    if (room.expanded_timeline) {
      // The newest events again: what of them the client has is no news.
      const gap: Kept = room.limited ? [null] : []
      const last = kept.at(-1)
      const at = bodies.findIndex((body) => body === last)
      if (at >= 0 && kept.length > at + 1) kept.push(...bodies.slice(at + 1))
      else this.rooms.set(roomId, [...gap, ...bodies])
      if (at >= 0 && kept.length > at + 1) this.rooms.set(roomId, kept)
      return
    }
    for (const body of bodies) expect(kept, 'nothing comes twice').not.toContain(body)
    if (room.limited) kept.push(null)
    this.rooms.set(roomId, [...kept, ...bodies])
  }
}

/** Whether what a client kept is the history, but for its gaps. */
function isPartOf(kept: Kept, history: readonly string[]): boolean {
  let at = history.length
  for (const each of kept.toReversed()) {
    if (each === null) {
      // Anything may be in a gap; what is before it has to be found further down.
      at = -Math.abs(at)
      continue
    }
    const found = at < 0 ? history.lastIndexOf(each, -at - 1) : at - 1
    if (found < 0 || history[found] !== each) return false
    at = found
  }
  return true
}

/** Restarts an object, unless it sleeps anyway. */
async function evict(object: DurableObjectStub): Promise<void> {
  await evictDurableObject(object).catch((error: unknown) => expect(String(error)).toContain('not currently running'))
}
const objectOf = (user: User) => env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId))

describe('whatever goes wrong', () => {
  test.each(seeds)('nothing is lost and nothing comes twice: %i', { timeout: 120_000 }, async (seed) => {
    const roll = dice(seed)
    const [listener, speaker] = [await registerUser(`slid-loss-${seed}`), await registerUser(`slid-talk-${seed}`)]
    const history = new Map<string, string[]>()
    for (let n = 0; n < roomCount; n++) {
      const room = await createRoom(speaker, { preset: 'public_chat' })
      await join(listener, room)
      history.set(room, [])
    }
    const rooms = [...history.keys()]
    const client = new SlidingClient(listener)
    await client.poll(false)
    let said = 0
    const out = new Set<string>()
    const talk = async (room: string) => {
      const body = `${seed}-${++said}`
      await say(speaker, room, body)
      // What is said while the client's user is out is not theirs to hear live; they hear the room anew when they are back.
      history.get(room)?.push(body)
    }
    for (let step = 0; step < steps; step++) {
      const room = rooms[roll(rooms.length)] ?? ''
      const choice = roll(16)
      if (choice < 8) await talk(room)
      else if (choice < 12) await client.poll(roll(3) === 0)
      else if (choice === 12) await evict(objectOf(listener))
      else if (choice === 13) await evict(env.ROOM.get(env.ROOM.idFromName(room)))
      else if (choice === 14) [client.window, client.limit] = [1 + roll(roomCount), 1 + roll(4)]
      else if (out.delete(room)) await join(listener, room)
      else if (out.size < 2) {
        out.add(room)
        await leave(listener, room)
      }
    }
    for (const room of out) await join(listener, room)
    for (const room of rooms) await talk(room)
    client.window = roomCount
    let last = await client.poll(false)
    for (let round = 0; round < 20; round++) {
      const answer = await client.poll(false)
      if (answer && Object.keys(answer.rooms).length === 0) break
      last = answer
    }
    for (const [room, bodies] of history) {
      const kept = client.rooms.get(room) ?? []
      expect(kept.at(-1), 'the newest message is there').toBe(bodies.at(-1))
      expect({ room, kept, bodies, isPart: isPartOf(kept, bodies) }).toMatchObject({ isPart: true })
    }
    expect(last && idsIn(last)).toEqual(rooms.toReversed())
  })
})
