/** What sync tells of rooms: the stories of joining, talking, leaving, and of answers that got lost. */
import { beforeAll, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import {
  aMoment,
  bodies,
  createRoom,
  invite,
  join,
  leave,
  long,
  say,
  setState,
  sync,
  type SyncBody,
  types,
} from './syncing.ts'

let alice: User
let bob: User
let carol: User

beforeAll(async () => {
  alice = await registerUser('rooms-alice')
  bob = await registerUser('rooms-bob')
  carol = await registerUser('rooms-carol')
})

const publicRoom = (user: User) => createRoom(user, { preset: 'public_chat' })
const since = async (user: User) => (await sync(user)).next_batch
const joined = (answer: SyncBody, room: string) => answer.rooms?.join?.[room]

describe('a joined room', () => {
  test('comes in full to a new client, then only with what is new', async () => {
    const room = await publicRoom(alice)
    await say(alice, room, 'one')
    const first = await sync(alice)
    const all = [...types(joined(first, room)?.state), ...types(joined(first, room)?.timeline)]
    for (const type of ['m.room.create|', `m.room.member|${alice.userId}`, 'm.room.power_levels|', 'm.room.message']) {
      expect(all.filter((each) => each === type)).toHaveLength(1)
    }
    const second = await sync(alice, { since: first.next_batch })
    expect(second).not.toHaveProperty('rooms')
    await say(alice, room, 'two')
    const third = await sync(alice, { since: second.next_batch })
    expect(bodies(joined(third, room)?.timeline)).toEqual(['two'])
    expect(joined(third, room)?.timeline?.limited).toBe(false)
    expect(types(joined(third, room)?.state)).toEqual([])
  })

  test('wakes who waits, once for what happened at once', async () => {
    const room = await publicRoom(alice)
    await join(bob, room)
    const waiting = sync(bob, { since: await since(bob), timeout: long })
    await aMoment()
    await say(alice, room, 'hello')
    const answer = await waiting
    expect(bodies(joined(answer, room)?.timeline)).toEqual(['hello'])
    const idle = await sync(bob, { since: answer.next_batch, timeout: 20 })
    expect(idle).not.toHaveProperty('rooms')
  })

  test('that is joined now comes in full, with others’ joins as news to those inside', async () => {
    const room = await publicRoom(alice)
    const [before, ofAlice] = [await since(bob), await since(alice)]
    await join(bob, room)
    const answer = joined(await sync(bob, { since: before }), room)
    expect([...types(answer?.state), ...types(answer?.timeline)]).toContain('m.room.create|')
    const seen = joined(await sync(alice, { since: ofAlice }), room)
    expect(types(seen?.timeline)).toEqual([`m.room.member|${bob.userId}`])
  })

  test('leaves a gap when too much happened, which /messages fills exactly', async () => {
    const room = await publicRoom(alice)
    const before = await since(alice)
    await setState(alice, room, 'm.room.topic', { topic: 'in the gap' })
    for (let n = 0; n < 25; n++) await say(alice, room, `m${n}`)
    const filter = { room: { timeline: { limit: 5 } } }
    const { timeline, state } = joined(await sync(alice, { since: before, filter }), room) ?? {}
    expect(timeline?.limited).toBe(true)
    expect(bodies(timeline)).toEqual(['m20', 'm21', 'm22', 'm23', 'm24'])
    expect(types(state)).toContain('m.room.topic|')
    const query = new URLSearchParams({ dir: 'b', from: timeline?.prev_batch ?? '', to: before, limit: '100' })
    const path = `/rooms/${encodeURIComponent(room)}/messages?${query.toString()}`
    const { body } = await alice.get<{ chunk: { type: string; content: { body?: string } }[] }>(path)
    const missed = body.chunk.map(({ type, content }) => content.body ?? type).reverse()
    expect(missed).toEqual(['m.room.topic', ...Array.from({ length: 20 }, (_, n) => `m${n}`)])
  })

  test('tells with full_state all of its state, and of its timeline only what is new', async () => {
    const room = await publicRoom(alice)
    await say(alice, room, 'old')
    const { next_batch } = await sync(alice)
    const answer = joined(await sync(alice, { since: next_batch, full_state: true }), room)
    expect(types(answer?.state)).toContain('m.room.create|')
    expect(bodies(answer?.timeline)).toEqual([])
  })

  test('gives state after the timeline where that is asked for', async () => {
    const room = await publicRoom(alice)
    const { next_batch } = await sync(alice)
    await setState(alice, room, 'm.room.topic', { topic: 'new' })
    const answer = joined(await sync(alice, { since: next_batch, use_state_after: true }), room)
    expect(answer).not.toHaveProperty('state')
    expect(types(answer?.state_after)).toEqual(['m.room.topic|'])
    expect(types(answer?.timeline)).toEqual(['m.room.topic|'])
  })
})

describe('an answer that got lost', () => {
  test('is given again for the same token, event for event', async () => {
    const room = await publicRoom(alice)
    await join(bob, room)
    const before = await since(bob)
    await say(alice, room, 'one')
    const lost = await sync(bob, { since: before })
    expect(bodies(joined(await sync(bob, { since: before }), room)?.timeline)).toEqual(['one'])
    await say(alice, room, 'two')
    expect(bodies(joined(await sync(bob, { since: before }), room)?.timeline)).toEqual(['one', 'two'])
    expect(bodies(joined(await sync(bob, { since: lost.next_batch }), room)?.timeline)).toEqual(['two'])
  })

  test('does not disturb another device, nor a parallel request of the same one', async () => {
    const room = await publicRoom(alice)
    await join(bob, room)
    const phone = await login(bob)
    const [desk, mobile] = [await since(bob), await since(phone)]
    await say(alice, room, 'one')
    const answers = await Promise.all([
      sync(bob, { since: desk }),
      sync(phone, { since: mobile }),
      sync(bob, { since: desk }),
    ])
    for (const answer of answers) expect(bodies(joined(answer, room)?.timeline)).toEqual(['one'])
    await say(alice, room, 'two')
    for (const [device, answer] of [
      [bob, answers[0]],
      [phone, answers[1]],
      [bob, answers[2]],
    ] as const) {
      const next = await sync(device, { since: answer?.next_batch ?? '' })
      expect(bodies(joined(next, room)?.timeline)).toEqual(['two'])
    }
    expect(bodies(joined(await sync(phone, { since: mobile }), room)?.timeline)).toEqual(['one', 'two'])
  })
})

describe('an invite', () => {
  test('comes with stripped state; accepting it brings the room', async () => {
    const room = await createRoom(alice, { preset: 'private_chat', name: 'The room' })
    const before = await since(bob)
    await invite(alice, room, bob)
    const invited = await sync(bob, { since: before })
    expect(types(invited.rooms?.invite?.[room]?.invite_state)).toContain('m.room.name|')
    expect(types(invited.rooms?.invite?.[room]?.invite_state)).toContain(`m.room.member|${bob.userId}`)
    expect((await sync(bob)).rooms?.invite).toHaveProperty([room])
    expect(await sync(bob, { since: invited.next_batch })).not.toHaveProperty('rooms')
    await join(bob, room)
    const answer = await sync(bob, { since: invited.next_batch })
    expect(answer.rooms?.invite).toBeUndefined()
    expect([...types(joined(answer, room)?.state), ...types(joined(answer, room)?.timeline)]).toContain(
      'm.room.create|',
    )
  })

  test('that waits for an answer does not make sync spin', async () => {
    const room = await createRoom(alice, { preset: 'private_chat', invite: [carol.userId] })
    const token = await since(carol)
    const waiting = sync(carol, { since: token, timeout: 150 })
    await aMoment()
    await say(alice, room, 'not for her')
    expect(await waiting).not.toHaveProperty('rooms')
  })

  test('that is declined goes to the rooms that were left, once', async () => {
    const room = await createRoom(alice, { preset: 'private_chat', invite: [bob.userId] })
    const before = await since(bob)
    await leave(bob, room)
    const answer = await sync(bob, { since: before })
    expect(answer.rooms?.leave).toHaveProperty([room])
    expect(answer.rooms?.invite).toBeUndefined()
    expect(await sync(bob, { since: answer.next_batch })).not.toHaveProperty('rooms')
  })

  test('by somebody who is ignored is not shown', async () => {
    const person = await registerUser('rooms-careful')
    const path = `/user/${encodeURIComponent(person.userId)}/account_data/m.ignored_user_list`
    await person.put(path, { ignored_users: { [bob.userId]: {} } })
    const before = await since(person)
    const [unwanted, wanted] = [await createRoom(bob), await createRoom(alice)]
    await invite(bob, unwanted, person)
    await invite(alice, wanted, person)
    for (const answer of [await sync(person, { since: before }), await sync(person)]) {
      expect(Object.keys(answer.rooms?.invite ?? {})).toEqual([wanted])
    }
  })
})

describe('a room that was left', () => {
  test('is told once, and later only to who asks for it', async () => {
    const room = await publicRoom(alice)
    await join(bob, room)
    const before = await since(bob)
    await say(alice, room, 'before')
    await leave(bob, room)
    await say(alice, room, 'after')
    const answer = await sync(bob, { since: before })
    expect(bodies(answer.rooms?.leave?.[room]?.timeline)).toEqual(['before'])
    expect(types(answer.rooms?.leave?.[room]?.timeline).at(-1)).toBe(`m.room.member|${bob.userId}`)
    expect(await sync(bob, { since: answer.next_batch })).not.toHaveProperty('rooms')
    expect((await sync(bob)).rooms?.leave ?? {}).not.toHaveProperty([room])
    const filter = { room: { include_leave: true } }
    expect((await sync(bob, { filter })).rooms?.leave).toHaveProperty([room])
    expect((await sync(bob, { filter, since: answer.next_batch, full_state: true })).rooms?.leave).toHaveProperty([
      room,
    ])
  })

  test('is told to who was thrown out, even while they wait', async () => {
    const room = await publicRoom(alice)
    await join(bob, room)
    const waiting = sync(bob, { since: await since(bob), timeout: long })
    await aMoment()
    const path = `/rooms/${encodeURIComponent(room)}/ban`
    expect((await alice.post(path, { user_id: bob.userId })).status).toBe(200)
    const answer = await waiting
    expect(answer.rooms?.leave).toHaveProperty([room])
    await say(alice, room, 'without him')
    expect(await sync(bob, { since: answer.next_batch })).not.toHaveProperty('rooms')
  })

  test('and joined again in one stretch is a joined room, with all of its state for a client that had none', async () => {
    const room = await publicRoom(alice)
    const before = await since(bob)
    await join(bob, room)
    const inside = await sync(bob, { since: before })
    await leave(bob, room)
    const outside = await sync(bob, { since: inside.next_batch })
    // This device learns of the room only now; the other one knew it in its first life.
    const tablet = await login(bob)
    const ofTablet = await since(tablet)
    await setState(alice, room, 'm.room.topic', { topic: 'while he was away' })
    await join(bob, room)
    for (const token of [before, outside.next_batch]) {
      const answer = await sync(bob, { since: token })
      expect(answer.rooms?.leave).toBeUndefined()
      expect([...types(joined(answer, room)?.state), ...types(joined(answer, room)?.timeline)]).toContain(
        'm.room.topic|',
      )
    }
    const answer = await sync(tablet, { since: ofTablet })
    expect([...types(joined(answer, room)?.state), ...types(joined(answer, room)?.timeline)]).toContain(
      'm.room.create|',
    )
  })
})

describe('a filter', () => {
  test('keeps rooms out, and what happens there wakes nobody', async () => {
    const [quiet, loud] = [await publicRoom(alice), await publicRoom(alice)]
    const filter = { room: { not_rooms: [loud] } }
    const first = await sync(alice, { filter })
    expect(Object.keys(first.rooms?.join ?? {})).toContain(quiet)
    expect(Object.keys(first.rooms?.join ?? {})).not.toContain(loud)
    const waiting = sync(alice, { since: first.next_batch, timeout: long, filter })
    await aMoment()
    await say(alice, loud, 'shout')
    await aMoment()
    await say(alice, quiet, 'whisper')
    const answer = await waiting
    expect(Object.keys(answer.rooms?.join ?? {})).toEqual([quiet])
    expect(bodies(joined(answer, quiet)?.timeline)).toEqual(['whisper'])
  })

  test('of types lets only those through, and goes on waiting for them', async () => {
    const room = await publicRoom(alice)
    const filter = { room: { timeline: { types: ['org.example.*'] }, state: { types: [] } } }
    const { next_batch } = await sync(alice, { filter })
    const waiting = sync(alice, { since: next_batch, timeout: long, filter })
    await aMoment()
    await say(alice, room, 'not this')
    await aMoment()
    const path = `/rooms/${encodeURIComponent(room)}/send/org.example.ping/rooms-1`
    expect((await alice.put(path, { n: 1 })).status).toBe(200)
    const answer = await waiting
    expect(types(joined(answer, room)?.timeline)).toEqual(['org.example.ping'])
  })

  test('of fields leaves the rest out', async () => {
    const room = await publicRoom(alice)
    const { next_batch } = await sync(alice)
    await say(alice, room, 'short')
    const filter = { event_fields: ['type', 'content.body'] }
    const answer = await sync(alice, { since: next_batch, filter })
    expect(joined(answer, room)?.timeline?.events).toEqual([{ type: 'm.room.message', content: { body: 'short' } }])
  })

  test('that loads members lazily sends those who spoke, and oneself', async () => {
    // A room without a name is named after its members, so they would be sent.
    const room = await createRoom(alice, { preset: 'public_chat', name: 'Members' })
    await join(bob, room)
    await join(carol, room)
    await say(bob, room, 'hello')
    const filter = { room: { state: { lazy_load_members: true }, timeline: { limit: 1 } } }
    const answer = joined(await sync(alice, { filter }), room)
    const members = types(answer?.state).filter((type) => type.startsWith('m.room.member|'))
    expect(members.sort()).toEqual([`m.room.member|${alice.userId}`, `m.room.member|${bob.userId}`].sort())
  })
})

describe('around a room', () => {
  test('account data and tags come with it, and alone when only they changed', async () => {
    const room = await publicRoom(alice)
    const mine = `/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room)}`
    await alice.put(`${mine}/tags/m.favourite`, { order: 0.1 })
    const first = await sync(alice)
    const tag = { type: 'm.tag', content: { tags: { 'm.favourite': { order: 0.1 } } } }
    expect(joined(first, room)?.account_data?.events).toEqual([tag])
    await alice.put(`${mine}/account_data/org.example.x`, { n: 1 })
    const second = await sync(alice, { since: first.next_batch })
    expect(second.rooms?.join).toEqual({
      [room]: { account_data: { events: [{ type: 'org.example.x', content: { n: 1 } }] } },
    })
  })

  test('the rooms one is in are listed', async () => {
    const person = await registerUser('rooms-lister')
    const [one, two] = [await publicRoom(person), await publicRoom(alice)]
    await join(person, two)
    await invite(alice, await createRoom(alice), person)
    const list = async () => (await person.get<{ joined_rooms: string[] }>('/joined_rooms')).body.joined_rooms.sort()
    expect(await list()).toEqual([one, two].sort())
    await leave(person, two)
    expect(await list()).toEqual([one])
  })

  test('a token of sync is a place in its history and its membership', async () => {
    const room = await publicRoom(alice)
    await say(alice, room, 'one')
    const { next_batch } = await sync(alice)
    await say(alice, room, 'two')
    await join(bob, room)
    const path = `/rooms/${encodeURIComponent(room)}`
    const back = await alice.get<{ chunk: { content: { body?: string } }[] }>(
      `${path}/messages?dir=b&from=${next_batch}`,
    )
    expect(back.body.chunk[0]?.content.body).toBe('one')
    const on = await alice.get<{ chunk: { content: { body?: string } }[] }>(`${path}/messages?dir=f&from=${next_batch}`)
    expect(on.body.chunk[0]?.content.body).toBe('two')
    const members = await alice.get<{ chunk: { state_key: string }[] }>(`${path}/members?at=${next_batch}`)
    expect(members.body.chunk.map((event) => event.state_key)).toEqual([alice.userId])
  })
})
