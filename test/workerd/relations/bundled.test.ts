/** What comes with an event of those that relate to it. Spec: #aggregations-of-child-events. */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, type ClientEvent, createRoom, join, ok, say, setState } from '../rooms/rooms.ts'
import { edit, eventOf, ignore, redact, relate, related, relationsOf } from './relating.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('bundling-alice')
  bob = await registerUser('bundling-bob')
})

async function publicRoom(): Promise<{ roomId: string; root: string }> {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
  return { roomId, root: await say(alice, roomId, 'root') }
}

const bundleOf = async (user: User, roomId: string, eventId: string) =>
  relationsOf(await eventOf(user, roomId, eventId))

describe('an edited event', () => {
  test('comes with the newest edit, and with its own content', async () => {
    const { roomId, root } = await publicRoom()
    await edit(alice, roomId, root, 'first')
    const second = await edit(alice, roomId, root, 'second')
    const event = await eventOf(bob, roomId, root)
    expect(event.content).toEqual({ msgtype: 'm.text', body: 'root' })
    expect(relationsOf(event)).toMatchObject({
      'm.replace': { event_id: second, room_id: roomId, content: { 'm.new_content': { body: 'second' } } },
    })
    expect(await bundleOf(bob, roomId, second)).toBeUndefined()
  })

  test('does not come with what is no valid edit', async () => {
    const { roomId, root } = await publicRoom()
    await edit(bob, roomId, root, 'by another')
    await edit(alice, roomId, root, 'of another type', 'm.other')
    await relate(alice, roomId, root, 'm.replace', { body: 'without new content' })
    expect(await bundleOf(bob, roomId, root)).toBeUndefined()
    const valid = await edit(alice, roomId, root, 'valid')
    await edit(alice, roomId, valid, 'edit of an edit')
    expect(await bundleOf(bob, roomId, root)).toMatchObject({ 'm.replace': { event_id: valid } })
    expect(await bundleOf(bob, roomId, valid)).toBeUndefined()
  })

  test('goes back to the edit before when one is redacted, and has none when redacted itself', async () => {
    const { roomId, root } = await publicRoom()
    const first = await edit(alice, roomId, root, 'first')
    const second = await edit(alice, roomId, root, 'second')
    await redact(alice, roomId, second)
    expect(await bundleOf(bob, roomId, root)).toMatchObject({ 'm.replace': { event_id: first } })
    await redact(alice, roomId, root)
    expect(await bundleOf(bob, roomId, root)).toBeUndefined()
  })
})

describe('the root of a thread', () => {
  test('comes with the latest event, their number, and whether the reader took part', async () => {
    const { roomId, root } = await publicRoom()
    await relate(alice, roomId, root, 'm.thread')
    const last = await relate(alice, roomId, root, 'm.thread', { body: 'last' })
    const edited = await edit(alice, roomId, last, 'last of all')
    expect(await bundleOf(bob, roomId, root)).toMatchObject({
      'm.thread': {
        latest_event: { event_id: last, unsigned: { 'm.relations': { 'm.replace': { event_id: edited } } } },
        count: 2,
        current_user_participated: false,
      },
    })
    expect(await bundleOf(alice, roomId, root)).toMatchObject({ 'm.thread': { current_user_participated: true } })
    await relate(bob, roomId, root, 'm.thread')
    expect(await bundleOf(bob, roomId, root)).toMatchObject({
      'm.thread': { count: 3, current_user_participated: true },
    })
  })

  test('tells one who left, and one who came later, of what they may see only', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    const root = await say(alice, roomId, 'root')
    const seen = await relate(alice, roomId, root, 'm.thread')
    await ok(bob.post(at(roomId, '/leave')))
    await relate(alice, roomId, root, 'm.thread')
    expect(await bundleOf(bob, roomId, root)).toMatchObject({
      'm.thread': { latest_event: { event_id: seen }, count: 1 },
    })
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    await relate(alice, roomId, root, 'm.thread')
    await relate(alice, roomId, root, 'm.thread')
    await join(bob, roomId)
    const late = await relate(alice, roomId, root, 'm.thread')
    expect(await bundleOf(bob, roomId, root)).toMatchObject({
      'm.thread': { latest_event: { event_id: late }, count: 3 },
    })
    expect(await bundleOf(alice, roomId, root)).toMatchObject({ 'm.thread': { count: 5 } })
  })

  test('is no thread to those who ignore all in it', async () => {
    const { roomId, root } = await publicRoom()
    const carol = await registerUser('bundling-carol')
    await join(carol, roomId)
    await relate(bob, roomId, root, 'm.thread')
    await relate(bob, roomId, root, 'm.reference')
    await ignore(carol, bob)
    expect(await bundleOf(carol, roomId, root)).toBeUndefined()
    const own = await relate(alice, roomId, root, 'm.thread')
    expect(await bundleOf(carol, roomId, root)).toMatchObject({
      'm.thread': { latest_event: { event_id: own }, count: 1 },
    })
  })

  test('is no event that is part of one, and no state', async () => {
    const { roomId, root } = await publicRoom()
    const reference = await relate(alice, roomId, root, 'm.reference')
    const { event_id: state } = await ok(setState(alice, roomId, 'm.room.topic', { topic: 't' }))
    await relate(alice, roomId, state, 'm.reference')
    expect(await bundleOf(bob, roomId, state)).toBeUndefined()
    expect(await bundleOf(bob, roomId, reference)).toBeUndefined()
    expect(await bundleOf(bob, roomId, root)).toEqual({ 'm.reference': { chunk: [{ event_id: reference }] } })
  })
})

describe('aggregations come', () => {
  test('with history, context, relations, and a timeline that is limited', async () => {
    const { roomId, root } = await publicRoom()
    const { next_batch: since } = await ok(alice.get<{ next_batch: string }>('/sync?timeout=0'))
    const child = await relate(alice, roomId, root, 'm.thread')
    const edited = await edit(alice, roomId, child, 'better')
    const expected = { 'm.replace': { event_id: edited } }
    const of = (events: readonly ClientEvent[]) => relationsOf(events.find(({ event_id }) => event_id === child))

    expect(of((await ok(bob.get<{ chunk: ClientEvent[] }>(at(roomId, '/messages?dir=b')))).chunk)).toMatchObject(
      expected,
    )
    expect(of((await related(bob, roomId, root)).chunk)).toMatchObject(expected)
    const context = async (eventId: string) =>
      ok(
        bob.get<{ event: ClientEvent; events_before: ClientEvent[]; events_after: ClientEvent[] }>(
          at(roomId, `/context/${encodeURIComponent(eventId)}`),
        ),
      )
    expect(relationsOf((await context(child)).event)).toMatchObject(expected)
    expect(of((await context(edited)).events_before)).toMatchObject(expected)
    expect(of((await context(root)).events_after)).toMatchObject(expected)

    const timeline = async (query: string) => {
      interface Synced {
        readonly rooms: { join: Record<string, { timeline: { events: ClientEvent[]; limited: boolean } }> }
      }
      const joined = (await ok(alice.get<Synced>(`/sync?timeout=0${query}`))).rooms.join[roomId]
      return joined?.timeline ?? { events: [], limited: false }
    }
    const two = `&filter=${encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 2 } } }))}`
    const limited = await timeline(two)
    expect(limited.limited).toBe(true)
    expect(of(limited.events)).toMatchObject(expected)
    const bundle: JsonObject = { ...limited.events.find(({ event_id }) => event_id === child)?.unsigned }
    expect(JSON.stringify(bundle)).not.toContain('room_id')
    // All of it is told: the client aggregates by itself.
    const whole = await timeline(`&since=${encodeURIComponent(since)}`)
    expect(whole.events.map(({ event_id }) => event_id)).toEqual([child, edited])
    expect(of(whole.events)).toBeUndefined()
  })
})
