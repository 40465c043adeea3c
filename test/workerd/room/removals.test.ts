/** Kicks and bans that redact what the removed user sent (MSC4293), as the room does it. */
import { redactEventsKey } from '#protocol/redact-events.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { describe, expect, test, vi } from 'vitest'

import { ServerView } from '../../../durable-objects/room/federation/server-visibility.ts'
import { messages } from '../../../durable-objects/room/messages.ts'
import { finishRemovals, hasUnfinishedRemovals } from '../../../durable-objects/room/removals.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { outcomes } from '../../../durable-objects/room/stored-event.ts'
import { receive } from './remote-events.ts'
import { alice, bob, carol, join, mallory, publicRoom, rows, say, type TestRoom, withRoom } from './rooms.ts'

const flag = { [redactEventsKey]: true }

async function set(
  room: TestRoom,
  sender: UserId,
  target: UserId,
  membership: 'leave' | 'ban',
  content: JsonObject = {},
) {
  const action = membership === 'ban' ? ('ban' as const) : ('kick' as const)
  const by = sender === target ? {} : { action }
  const done = await room.rpc.setMembership({ sender, target, membership, content, ...by })
  if (!done.ok) throw new Error(done.message)
  return done.event_id
}
const leave = (room: TestRoom, user: UserId) => set(room, user, user, 'leave')
const unban = (room: TestRoom, user: UserId) =>
  room.rpc.setMembership({ sender: alice, target: user, membership: 'leave', action: 'unban' })

/** What messages say that were sent in the room, null for what was redacted, oldest first. */
async function said(room: TestRoom, sender: UserId = bob): Promise<(string | null)[]> {
  const query = "SELECT json, redacted_by FROM events WHERE type = 'm.room.message' AND sender = ? ORDER BY nid"
  const found = await rows<{ json: string; redacted_by: number | null }>(room, query, sender)
  return found.map(({ json, redacted_by }) => {
    const { content }: { content: { body?: string } } = JSON.parse(json)
    expect(content.body === undefined).toBe(redacted_by !== null)
    return content.body ?? null
  })
}

async function raise(room: TestRoom, levels: JsonObject): Promise<void> {
  const done = await room.rpc.sendEvent({
    sender: alice,
    type: 'm.room.power_levels',
    stateKey: '',
    content: { users: {}, ...levels },
  })
  if (!done.ok) throw new Error(done.message)
}

describe.each(roomVersions)('room version %s: a ban', (version) => {
  test('redacts what was sent since the user came in, and nothing else', async () => {
    const room = await publicRoom(version)
    await join(room, bob)
    await say(room, bob, 'before')
    await leave(room, bob)
    await join(room, bob)
    await say(room, bob, 'one')
    await say(room, alice, 'hers')
    await room.rpc.setMembership({ sender: bob, target: bob, membership: 'join', profile: { displayname: 'rude' } })
    await say(room, bob, 'two')
    await set(room, alice, bob, 'ban', flag)
    expect(await said(room)).toEqual(['before', null, null])
    expect(await said(room, alice)).toEqual(['hers'])
    const names = await rows<{ json: string }>(
      room,
      'SELECT json FROM events WHERE state_key = ? AND sender = ?',
      bob,
      bob,
    )
    expect(JSON.stringify(names)).not.toContain('rude')
    // What they say after they were let in again is another matter, and goes by another ban.
    await unban(room, bob)
    await join(room, bob)
    await say(room, bob, 'sorry')
    expect(await said(room)).toEqual(['before', null, null, 'sorry'])
    await set(room, alice, bob, 'ban')
    expect(await said(room)).toEqual(['before', null, null, 'sorry'])
  })
})

describe('the flag', () => {
  test('counts in a kick', async () => {
    const room = await publicRoom()
    await join(room, bob)
    await say(room, bob, 'one')
    await set(room, alice, bob, 'leave', flag)
    expect(await said(room)).toEqual([null])
  })

  test('is nothing in what is no kick or ban, or where it is not true', async () => {
    const room = await publicRoom()
    await room.rpc.setMembership({ sender: bob, target: bob, membership: 'join', content: flag })
    await say(room, bob, 'one')
    await set(room, bob, bob, 'leave', flag)
    await join(room, bob)
    await say(room, bob, 'two')
    await set(room, alice, bob, 'leave', { [redactEventsKey]: 'true' })
    await room.rpc.setMembership({ sender: alice, target: bob, membership: 'invite', content: flag })
    // They left before: "their events sent before the first ban won't be redacted".
    await set(room, alice, bob, 'ban', flag)
    expect(await said(room)).toEqual(['one', 'two'])
  })

  test.each([{ redact: 60 }, { events: { 'm.room.redaction': 60 } }])(
    'is nothing from who may ban but not redact: %j',
    async (levels) => {
      const room = await publicRoom('11')
      for (const user of [bob, carol]) await join(room, user)
      await raise(room, { users: { [alice]: 100, [carol]: 50 }, ...levels })
      await say(room, bob, 'one')
      await set(room, carol, bob, 'ban', flag)
      expect(await said(room)).toEqual(['one'])
    },
  )

  test('leaves what the room cannot do without', async () => {
    const room = await publicRoom('11')
    await join(room, bob)
    await raise(room, { users: { [alice]: 100, [bob]: 50 }, events: { 'm.room.server_acl': 50 } })
    const send = (type: string, content: JsonObject) => room.rpc.sendEvent({ sender: bob, type, stateKey: '', content })
    await send('m.room.server_acl', { allow: ['*'] })
    await send('m.room.topic', { topic: 'rude' })
    await set(room, alice, bob, 'ban', flag)
    const state = async (type: string) =>
      (await rows<{ json: string }>(room, 'SELECT json FROM events WHERE type = ? ORDER BY nid DESC', type))[0]?.json
    expect(await state('m.room.server_acl')).toContain('"allow":["*"]')
    expect(await state('m.room.topic')).not.toContain('rude')
  })
})

describe('what comes from other servers', () => {
  const text = (body: string) => ({ type: 'm.room.message', content: { msgtype: 'm.text', body } })
  const end = (room: Room) => room.reader.header().extremities.map((nid) => room.reader.eventOf(nid))

  test('is redacted if it is of that stay, however late it comes', async () => {
    const room = await publicRoom('11')
    await raise(room, { users: { [alice]: 100 } })
    const ends = await withRoom(room, (its) => {
      const joined = receive(its, {
        type: 'm.room.member',
        stateKey: mallory,
        content: { membership: 'join' },
        prev: end(its),
      })
      receive(its, { ...text('one'), prev: [joined] })
      return joined.event_id
    })
    await room.evict()
    await set(room, alice, mallory, 'ban', flag)
    await withRoom(room, (its) => {
      const joined = its.reader.eventById(ends)
      if (!joined) throw new TypeError('lost')
      const late = receive(its, { ...text('two'), prev: [joined] }, { outcome: outcomes.softFailed })
      const renamed = { membership: 'join', displayname: 'rude' }
      const again = receive(
        its,
        { type: 'm.room.member', stateKey: mallory, content: renamed, prev: [late] },
        { outcome: outcomes.softFailed },
      )
      receive(its, { ...text('three'), prev: [again] }, { source: 'history' })
    })
    expect(await said(room, mallory)).toEqual([null, null, null])
    await room.evict()
    await unban(room, mallory)
    await withRoom(room, (its) => {
      const back = receive(its, {
        type: 'm.room.member',
        stateKey: mallory,
        content: { membership: 'join' },
        prev: end(its),
      })
      receive(its, { ...text('four'), prev: [back] })
    })
    expect(await said(room, mallory)).toEqual([null, null, null, 'four'])
  })

  test('is redacted for a ban that was here as state before anything of the stay was', async () => {
    const room = await publicRoom('11')
    await raise(room, { users: { [alice]: 100 } })
    await withRoom(room, (its) => {
      const joined = receive(its, {
        type: 'm.room.member',
        stateKey: mallory,
        content: { membership: 'join' },
        prev: end(its),
      })
      const member = { membership: 'ban', ...flag }
      receive(its, { type: 'm.room.member', stateKey: mallory, sender: alice, content: member, prev: end(its) })
      // As after a join of this server, which takes states and judges nothing of the past.
      for (const table of ['removed_stays', 'removals']) its.reader.sql.exec(`DELETE FROM ${table}`)
      its.memory.removals = undefined
      receive(its, { ...text('old'), prev: [joined] }, { source: 'history' })
    })
    expect(await said(room, mallory)).toEqual([null])
  })

  test('a ban of theirs is as good as one of ours, and no better', async () => {
    const room = await publicRoom('11')
    await join(room, bob)
    await say(room, bob, 'one')
    await raise(room, { users: { [alice]: 100, [mallory]: 50 }, ban: 0 })
    await withRoom(room, (its) => {
      const member = { type: 'm.room.member', stateKey: bob, content: { membership: 'ban', ...flag } }
      // Nobody has let the event through that is rejected.
      receive(its, { ...member, prev: end(its) }, { outcome: outcomes.rejected })
    })
    expect(await said(room)).toEqual(['one'])
    await withRoom(room, (its) => {
      const joined = receive(its, {
        type: 'm.room.member',
        stateKey: mallory,
        content: { membership: 'join' },
        prev: end(its),
      })
      const member = { type: 'm.room.member', stateKey: bob, content: { membership: 'ban', ...flag } }
      receive(its, { ...member, prev: [joined] })
    })
    expect(await said(room)).toEqual([null])
  })
})

describe('very much', () => {
  test('is redacted by and by, and shown to nobody meanwhile', async () => {
    const room = await publicRoom('11')
    await raise(room, { users: { [alice]: 100 } })
    await withRoom(room, (its) => {
      const prev = () => its.reader.header().extremities.map((nid) => its.reader.eventOf(nid))
      receive(its, { type: 'm.room.member', stateKey: mallory, content: { membership: 'join' }, prev: prev() })
      for (let n = 0; n < 1_203; n++) {
        receive(its, { type: 'm.room.message', content: { msgtype: 'm.text', body: `spam ${n}` }, prev: prev() })
      }
      const member = { membership: 'ban', ...flag }
      receive(its, { type: 'm.room.member', stateKey: mallory, sender: alice, content: member, prev: prev() })
      expect(hasUnfinishedRemovals(its)).toBe(true)
      const left = "SELECT count(*) AS count FROM events WHERE type = 'm.room.message' AND redacted_by IS NULL"
      const count = () => its.reader.sql.exec<{ count: number }>(left).one().count
      expect(count()).toBeGreaterThan(600)
      const page = messages(its, { reader: alice, dir: 'f', limit: 1_000, filter: {}, ignoredUsers: [] }, 0)
      if (!page.ok) throw new Error(page.message)
      const shown = page.chunk.filter(({ type }) => type === 'm.room.message')
      expect(shown.length).toBeGreaterThan(900)
      expect(shown.filter(({ content }) => content['body'] !== undefined)).toEqual([])
      expect(shown[0]?.unsigned).toMatchObject({ redacted_because: { type: 'm.room.member', content: flag } })
      const view = new ServerView(its, its.serverName)
      const first = its.reader.sql.exec<{ nid: number }>(
        "SELECT min(nid) AS nid FROM events WHERE type = 'm.room.message'",
      )
      expect(JSON.stringify(view.show(its.reader.eventOf(first.one().nid)))).not.toContain('spam')
      let rounds = 0
      while (finishRemovals(its)) expect(++rounds).toBeLessThan(10)
      expect(count()).toBe(0)
      expect(hasUnfinishedRemovals(its)).toBe(false)
    })
  })

  test('goes on by the alarm', async () => {
    const room = await publicRoom('11')
    await join(room, bob)
    for (let n = 0; n < 520; n++) await say(room, bob, `spam ${n}`)
    await set(room, alice, bob, 'ban', flag)
    await vi.waitFor(async () => expect(new Set(await said(room))).toEqual(new Set([null])), { timeout: 30_000 })
    await vi.waitFor(async () => expect(await rows(room, 'SELECT * FROM removals')).toEqual([]), { timeout: 30_000 })
  })
})
