/** Receipts and typing. Spec: client-server-api/#receipts, #typing-notifications. */
import type { JsonObject } from '#protocol/json/json.ts'
import { describe, expect, it } from 'vitest'
import { Typing } from '../../../durable-objects/room/typing.ts'
import type { Slice } from '../../../durable-objects/room/slice.ts'
import { alice, bob, carol, freshRoomId, join, publicRoom, roomObject, say, type TestRoom } from '../room/rooms.ts'
import { change, contentsOf, eventIdOf, eventsOf, field, granted, setVisibility, slice } from './reading.ts'

const at = ({ pos, typing }: Slice) => ({ pos, typing })
const receiptsOf = (section: JsonObject) => contentsOf(eventsOf(section, 'ephemeral'), 'm.receipt')
const typingIn = (section: JsonObject) =>
  contentsOf(eventsOf(section, 'ephemeral'), 'm.typing').map(({ user_ids }) => user_ids)
const ts = expect.any(Number)

async function roomOfThree(): Promise<TestRoom> {
  const room = await publicRoom()
  await join(room, bob)
  await join(room, carol)
  return room
}

describe('a receipt', () => {
  const type = 'm.read'

  it('reaches everybody in the room, once, and those who come later', async () => {
    const room = await roomOfThree()
    const eventId = eventIdOf(await say(room, alice, 'read this'))
    const first = await slice(room, alice)
    granted(await room.rpc.receipt({ user: bob, type, eventId }))
    const second = await slice(room, alice, { from: at(first) })
    expect(receiptsOf(second.room)).toEqual([{ [eventId]: { 'm.read': { [bob]: { ts } } } }])
    expect(receiptsOf((await slice(room, alice, { from: at(second) })).room)).toEqual([])
    expect(receiptsOf((await slice(room, carol)).room)).toHaveLength(1)
  })

  it('never moves backwards', async () => {
    const room = await roomOfThree()
    const [older, newer] = [eventIdOf(await say(room, alice, 'a')), eventIdOf(await say(room, alice, 'b'))]
    granted(await room.rpc.receipt({ user: bob, type, eventId: newer }))
    const first = await slice(room, alice)
    granted(await room.rpc.receipt({ user: bob, type, eventId: older }))
    granted(await room.rpc.receipt({ user: bob, type, eventId: newer }))
    expect((await slice(room, alice, { from: at(first) })).pos).toBe(first.pos)
    expect(receiptsOf((await slice(room, alice)).room)).toEqual([{ [newer]: { 'm.read': { [bob]: { ts } } } }])
  })

  it('that is private is seen by its sender only', async () => {
    const room = await roomOfThree()
    const eventId = eventIdOf(await say(room, alice, 'secretly read'))
    const first = await slice(room, alice)
    granted(await room.rpc.receipt({ user: bob, type: 'm.read.private', eventId }))
    expect(receiptsOf((await slice(room, alice, { from: at(first) })).room)).toEqual([])
    expect(receiptsOf((await slice(room, bob)).room)).toEqual([{ [eventId]: { 'm.read.private': { [bob]: { ts } } } }])
  })

  it('stands for the room and for each thread by itself', async () => {
    const room = await roomOfThree()
    const root = eventIdOf(await say(room, alice, 'root'))
    const content = { body: 'in it', 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
    const reply = granted(await room.rpc.sendEvent({ sender: alice, type: 'm.room.message', content })).event_id
    granted(await room.rpc.receipt({ user: bob, type, eventId: root }))
    granted(await room.rpc.receipt({ user: bob, type, eventId: root, threadId: 'main' }))
    granted(await room.rpc.receipt({ user: bob, type, eventId: reply, threadId: root }))
    const receipts = receiptsOf((await slice(room, alice)).room)
    expect(receipts).toHaveLength(3)
    expect(receipts).toEqual(
      expect.arrayContaining([
        { [root]: { 'm.read': { [bob]: { ts } } } },
        { [root]: { 'm.read': { [bob]: { ts, thread_id: 'main' } } } },
        { [reply]: { 'm.read': { [bob]: { ts, thread_id: root } } } },
      ]),
    )
  })

  it.each([
    ['an event of a thread, for the main timeline', 'reply', 'main', false],
    ['an event of a thread, for that thread', 'reply', 'root', true],
    ['a reaction to an event of a thread, for that thread', 'reaction', 'root', true],
    ['a reaction to an event of a thread, for the main timeline', 'reaction', 'main', false],
    ['the root, for its thread', 'root', 'root', true],
    ['the root, for the main timeline', 'root', 'main', true],
    ['a reaction to the root, for the main timeline', 'rootReaction', 'main', true],
    ['some other event, for the thread', 'other', 'root', false],
    ['some other event, for the main timeline', 'other', 'main', true],
  ] as const)('for %s', async (_, which, thread, isAllowed) => {
    const room = await roomOfThree()
    const root = eventIdOf(await say(room, alice, 'root'))
    const send = async (content: JsonObject) =>
      granted(await room.rpc.sendEvent({ sender: alice, type: 'm.room.message', content })).event_id
    const related = (rel_type: string, event_id: string) => send({ 'm.relates_to': { rel_type, event_id } })
    const reply = await related('m.thread', root)
    const events = {
      root,
      reply,
      reaction: await related('m.annotation', reply),
      rootReaction: await related('m.annotation', root),
      other: await send({ body: 'other' }),
    }
    const threadId = thread === 'root' ? root : thread
    const set = await room.rpc.receipt({ user: bob, type, eventId: events[which], threadId })
    expect(set).toEqual(isAllowed ? { ok: true } : expect.objectContaining({ ok: false, reason: 'invalid_param' }))
  })

  it('is for members, and for events that they may see', async () => {
    const room = await publicRoom()
    await setVisibility(room, 'joined')
    const hidden = eventIdOf(await say(room, alice, 'hidden'))
    expect(await room.rpc.receipt({ user: bob, type, eventId: hidden })).toMatchObject({ reason: 'not_in_room' })
    await change(room, 'join', bob)
    expect(await room.rpc.receipt({ user: bob, type, eventId: hidden })).toMatchObject({ reason: 'unknown_event' })
    const nowhere = roomObject(freshRoomId())
    expect(await nowhere.rpc.receipt({ user: bob, type, eventId: hidden })).toMatchObject({ reason: 'not_in_room' })
    // Nor is it shown to those who may not see the event.
    granted(await room.rpc.receipt({ user: alice, type, eventId: hidden }))
    expect(receiptsOf((await slice(room, bob)).room)).toEqual([])
    expect(receiptsOf((await slice(room, alice)).room)).toHaveLength(1)
  })

  it('is left out where a filter wants none', async () => {
    const room = await roomOfThree()
    const eventId = eventIdOf(await say(room, alice, 'read this'))
    granted(await room.rpc.receipt({ user: bob, type, eventId }))
    const { room: told } = await slice(room, alice, { filter: { ephemeral: { not_types: ['m.receipt'] } } })
    expect(eventsOf(told, 'ephemeral')).toEqual([])
  })
})

describe('typing', () => {
  it('is told to members as it changes, the end of it too', async () => {
    const room = await roomOfThree()
    const first = await slice(room, alice)
    expect(typingIn(first.room)).toEqual([])
    granted(await room.rpc.typing({ user: bob, typing: true, timeoutMs: 30_000 }))
    const second = await slice(room, alice, { from: at(first) })
    expect(typingIn(second.room)).toEqual([[bob]])
    expect(eventsOf(second.room, 'ephemeral')[0]).not.toHaveProperty('room_id')
    expect(typingIn((await slice(room, alice, { from: at(second) })).room)).toEqual([])
    granted(await room.rpc.typing({ user: bob, typing: false, timeoutMs: 0 }))
    expect(typingIn((await slice(room, alice, { from: at(second) })).room)).toEqual([[]])
    // Whoever slept through all of it is told how it stands as well.
    expect(typingIn((await slice(room, alice, { from: at(first) })).room)).toEqual([[]])
  })

  it('is over after its time', async () => {
    const room = await roomOfThree()
    granted(await room.rpc.typing({ user: bob, typing: true, timeoutMs: 20 }))
    const first = await slice(room, alice)
    await expect.poll(async () => typingIn((await slice(room, alice, { from: at(first) })).room)).toEqual([[]])
  })

  it('is for members only, to do and to know', async () => {
    const room = await publicRoom()
    expect(await room.rpc.typing({ user: bob, typing: true, timeoutMs: 1000 })).toMatchObject({ reason: 'not_in_room' })
    await change(room, 'join', bob)
    granted(await room.rpc.typing({ user: bob, typing: true, timeoutMs: 30_000 }))
    await change(room, 'invite', carol)
    const invited = await slice(room, carol)
    expect(invited.section).toBe('invite')
    expect(JSON.stringify(invited.room)).not.toContain('m.typing')
    await change(room, 'leave', bob)
    expect(JSON.stringify((await slice(room, bob)).room)).not.toContain('m.typing')
    // Gone without having stopped.
    expect(typingIn((await slice(room, alice)).room)).toEqual([[]])
    expect(field((await slice(room, alice)).room, 'timeline', 'limited')).toBe(false)
  })

  it('gives every list a number of its own', () => {
    const typing = new Typing()
    const seen = new Set([typing.version])
    const noted = (changed: boolean) => {
      expect(changed).toBe(!seen.has(typing.version))
      seen.add(typing.version)
    }
    noted(typing.set(bob, 1000, 500))
    noted(typing.set(bob, 2000, 600))
    noted(typing.set(alice, 900, 600))
    expect(typing.users).toEqual([bob, alice])
    expect(typing.nextExpiry()).toBe(900)
    noted(typing.expire(899))
    noted(typing.expire(900))
    expect(typing.users).toEqual([bob])
    noted(typing.set(bob, undefined, 900))
    noted(typing.set(bob, undefined, 901))
    expect([typing.isQuiet, typing.nextExpiry(), seen.size]).toEqual([true, undefined, 5])
  })
})
