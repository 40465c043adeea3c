/** Who is told of changes: everybody once until they read, and nobody never. */
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type News, Notifier } from '../../../durable-objects/room/notify.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { setMembership } from '../../../durable-objects/room/membership.ts'
import { AlarmScheduler } from '../../../durable-objects/shared/alarm-scheduler.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { alice, bob, carol, join, publicRoom, rows, say, type TestRoom, user, userObject, withRoom } from './rooms.ts'

interface Stage {
  readonly room: Room
  /** Users told so far, in order; `fails` names those whose objects cannot be reached. */
  readonly told: UserId[]
  readonly news: News[]
  readonly fails: Set<UserId>
  readonly notifier: Notifier
  /** The same object after a restart: it knows only what is stored. */
  readonly restart: () => Notifier
  readonly send: (notifier?: Notifier) => Promise<void>
}

const now = Date.now()

/** A room of Alice, Bob and Carol whose object is played by the test. */
async function stage(work: (stage: Stage) => Promise<void>): Promise<TestRoom> {
  const made = await publicRoom()
  await join(made, bob)
  await join(made, carol)
  await made.evict()
  const identity = await serverIdentity(env)
  await withRoom(made, async (room, storage) => {
    const told: UserId[] = []
    const news: News[] = []
    const fails = new Set<UserId>()
    const restart = () => {
      room.reader.forget()
      const alarms = new AlarmScheduler<'settle'>(storage)
      return new Notifier(
        room,
        alarms,
        async (who, what) => {
          if (fails.has(who)) throw new Error('unreachable')
          told.push(who)
          news.push(what)
        },
        () => 0,
      )
    }
    // So far everybody has been told, and has read.
    await restart().settle(now)
    room.reader.sql.exec('DELETE FROM quiet')
    told.length = 0
    news.length = 0
    const notifier = restart()
    const send = async (by = notifier) => {
      const content = { body: `message ${told.length}` }
      const sent = sendEvent(room, identity, { sender: alice, type: 'm.room.message', content }, now)
      if (!sent.ok) throw new Error(sent.message)
      await by.changed(sent, now)
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    await work({ room, told, news, fails, notifier, restart, send })
    await storage.deleteAlarm()
  })
  await made.evict()
  return made
}

describe('a member', () => {
  it('who has read is told of the next event, whatever came between that is no news', () =>
    stage(async ({ told, notifier, send }) => {
      await send()
      for (const reader of [alice, bob, carol]) notifier.read(reader)
      told.length = 0
      // Another server's event was rejected or soft-failed: it is stored, and the room stands where it stood.
      await notifier.changed({}, now)
      expect(told).toEqual([])
      await send()
      expect(told.toSorted()).toEqual([alice, bob, carol])
    }))

  it('is told of the first change and, until reading, of no other', () =>
    stage(async ({ told, notifier, send }) => {
      await send()
      await send()
      await send()
      expect(told.toSorted()).toEqual([alice, bob, carol])
      notifier.read(bob)
      await send()
      await send()
      expect(told.slice(3)).toEqual([bob])
    }))

  it('who reads while being told is told of the next change', () =>
    stage(async ({ room, told, notifier }) => {
      const identity = await serverIdentity(env)
      const change = (topic: string) =>
        sendEvent(room, identity, { sender: alice, type: 'm.room.topic', stateKey: '', content: { topic } }, now)
      change('one')
      const telling = notifier.changed({ sender: alice }, now)
      notifier.read(bob)
      await telling
      change('two')
      await notifier.changed({ sender: alice }, now)
      await new Promise((resolve) => setTimeout(resolve, 0))
      expect(told.filter((who) => who === bob)).toHaveLength(2)
    }))

  it('stays told after a restart, once it was written down', () =>
    stage(async ({ told, notifier, restart, send, room }) => {
      await send()
      notifier.read(bob)
      await notifier.settle(now)
      const again = restart()
      await send(again)
      expect(told.slice(3)).toEqual([bob])
      again.read(carol)
      expect(room.reader.sql.exec('SELECT user_id FROM quiet').toArray()).toEqual([{ user_id: alice }])
      await send(again)
      expect(told.slice(4)).toEqual([carol])
    }))
})

describe('whose membership changes', () => {
  it('is told always, quiet or not, and before the request is answered', () =>
    stage(async ({ room, told, news, notifier, send }) => {
      const identity = await serverIdentity(env)
      await send()
      for (const request of [
        { sender: alice, target: bob, membership: 'leave', action: 'kick' },
        { sender: alice, target: bob, membership: 'invite' },
      ] as const) {
        const written = setMembership(room, identity, request, now)
        if (!written.ok) throw new Error(written.message)
        await notifier.changed(written, now)
        expect(told.at(-1)).toBe(bob)
        expect(news.at(-1)).toMatchObject({ membership: request.membership, pos: room.reader.header().pos })
      }
      // Somebody invited hears of the room only what concerns them.
      const before = told.length
      await send()
      expect(told.slice(before)).toEqual([])
    }))
})

describe('when something fails', () => {
  beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  it('tells again whom it could not reach, and only them', () =>
    stage(async ({ room, told, fails, notifier, send }) => {
      fails.add(bob)
      await send()
      expect(told.toSorted()).toEqual([alice, carol])
      await expect(notifier.settle(now)).rejects.toThrow('not everybody could be told')
      expect(room.reader.header().toldPos).toBeLessThan(room.reader.header().pos)
      fails.clear()
      await notifier.settle(now)
      expect(told.toSorted()).toEqual([alice, bob, carol])
      expect(room.reader.header().toldPos).toBe(room.reader.header().pos)
    }))

  it('tells everybody when the object died between storing and telling', () =>
    stage(async ({ room, told, fails, notifier, restart, send }) => {
      for (const who of [alice, bob, carol]) fails.add(who)
      await send(notifier)
      const identity = await serverIdentity(env)
      setMembership(room, identity, { sender: carol, target: carol, membership: 'leave' }, now)
      fails.clear()
      const again = restart()
      await again.settle(now)
      expect(told.toSorted()).toEqual([alice, bob, carol])
      await again.settle(now)
      expect(told).toHaveLength(3)
      // Nobody became quiet by hearing old news.
      await send(again)
      expect(told.slice(3).toSorted()).toEqual([alice, bob])
    }))
})

it('sets its alarm in the turn that stores the event, so that a crash before telling loses nothing', async () => {
  const dave = user('@dave:test.local')
  const room = await publicRoom()
  await join(room, dave)
  expect(await userObject(dave).rooms()).toEqual([{ roomId: room.roomId, membership: 'join' }])
  const identity = await serverIdentity(env)
  await withRoom(room, (opened, storage) => {
    const kicked = setMembership(
      opened,
      identity,
      { sender: alice, target: dave, membership: 'leave', action: 'kick' },
      Date.now(),
    )
    if (!kicked.ok) throw new Error(kicked.message)
    // The object dies in the middle of telling: the calls never come through.
    const alarms = new AlarmScheduler<'settle'>(storage)
    void new Notifier(
      opened,
      alarms,
      () => new Promise(() => {}),
      () => 0,
    ).changed(kicked, Date.now())
    // What was set to ring in ten seconds rings now.
    storage.sql.exec('UPDATE alarms SET at = 0')
  })
  await room.evict()
  expect(await userObject(dave).rooms()).toEqual([{ roomId: room.roomId, membership: 'join' }])
  expect(await runDurableObjectAlarm(room.stub)).toBe(true)
  expect(await userObject(dave).rooms()).toEqual([{ roomId: room.roomId, membership: 'leave' }])
  const [header] = await rows(room, 'SELECT pos, told_pos FROM room')
  expect(header?.['told_pos']).toBe(header?.['pos'])
})

it('keeps everything through eviction', async () => {
  const room = await publicRoom()
  await join(room, bob)
  const before = await rows(room, 'SELECT * FROM events ORDER BY nid')
  await room.evict()
  const id = await say(room, bob, 'after the eviction')
  const after = await rows<{ event_id: string; json: string; depth: number }>(room, 'SELECT * FROM events ORDER BY nid')
  expect(after.slice(0, -1)).toEqual(before)
  expect(after.at(-1)?.event_id).toBe(id)
  const last = before.at(-1)
  expect(JSON.parse(after.at(-1)?.json ?? '{}')).toMatchObject({
    prev_events: [last?.['event_id']],
    depth: Number(last?.['depth']) + 1,
  })
  await runInDurableObject(room.stub, (_, state) => state.storage.deleteAlarm())
})
