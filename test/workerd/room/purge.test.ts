/** The purge: what it takes away, what it leaves, what it costs, and when the room wakes for it. MSC1763. */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RetentionRules } from '#protocol/retention.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { runDurableObjectAlarm } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'

import { earliestMessage, purge } from '../../../durable-objects/room/retention/purge.ts'
import { Purger } from '../../../durable-objects/room/retention/purger.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { AlarmScheduler } from '../../../durable-objects/shared/alarm-scheduler.ts'
import { receive } from './remote-events.ts'
import { alice, bob, join, makeRoom, publicRoom, rows, say, type TestRoom, withRoom } from './rooms.ts'
import { countRows } from './row-count.ts'

const [hour, day] = [3_600_000, 86_400_000]

/** The room's policy: unless told otherwise, messages are kept for a day. */
async function setLifetime(room: TestRoom, content: JsonObject = { max_lifetime: day }): Promise<void> {
  const set = await room.rpc.sendEvent({ sender: alice, type: 'm.room.retention', stateKey: '', content })
  if (!set.ok) throw new Error(set.reason)
}

async function send(room: TestRoom, daysAgo: number, content: JsonObject, type = 'm.room.message'): Promise<string> {
  const originServerTs = Date.now() - daysAgo * day
  const sent = await room.rpc.sendEvent({ sender: alice, type, content, originServerTs })
  if (!sent.ok) throw new Error(`${sent.reason}: ${sent.message}`)
  return sent.event_id
}
const text = (body: string): JsonObject => ({ msgtype: 'm.text', body })

/** The alarm rings now, whatever it was set for. */
async function ring(room: TestRoom): Promise<void> {
  await withRoom(room, (_, { sql }) => void sql.exec("UPDATE alarms SET at = 1 WHERE name = 'expire'"))
  await room.evict()
  expect(await runDurableObjectAlarm(room.stub)).toBe(true)
}

type Stored = { nid: number; redacted_by: number | null; json: string }
async function stored(room: TestRoom, eventId: string) {
  const [row] = await rows<Stored>(room, 'SELECT nid, redacted_by, json FROM events WHERE event_id = ?', eventId)
  if (!row) throw new Error(`not stored: ${eventId}`)
  const json: JsonObject = JSON.parse(row.json)
  return { ...row, json }
}

/** Everything that the object stores, as text. */
const allText = (room: TestRoom) =>
  withRoom(room, (_, { sql }) => {
    const names = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray()
    // The index of words keeps none of the texts; what is in its segments can be asked for only.
    const tables = names.filter(({ name }) => !/^(search|member_names|_cf)_?/.test(name) || name === 'search_progress')
    return tables.map(({ name }) => JSON.stringify(sql.exec(`SELECT * FROM "${name}"`).toArray())).join('\n')
  })
const found = async (room: TestRoom, word: string) => {
  const { hits } = await room.rpc.search({
    reader: alice,
    match: `"${word}"`,
    order: 'recent',
    limit: 10,
    countUpTo: 20,
  })
  return hits.map(({ eventId }) => eventId)
}

describe.each(roomVersions)('room version %s', (version) => {
  it('leaves of a message that is over what holds the room together, and nothing else', async () => {
    const room = await publicRoom(version)
    const old = await send(room, 2, { ...text('overdue'), 'm.mentions': {} })
    const before = await stored(room, old)
    const reply = { ...text('overdue answer'), 'm.relates_to': { rel_type: 'm.thread', event_id: old } }
    await send(room, 2, reply)
    const eventId = parseEventId(await send(room, 2, text('overdue and redacted')))
    if (!eventId) throw new TypeError('no event ID')
    await room.rpc.redact({ sender: alice, eventId, content: { reason: 'no reason' } })
    const fresh = await say(room, alice, 'fresh')
    await setLifetime(room)
    const state = await rows(room, 'SELECT * FROM current_state ORDER BY type, state_key')
    const header = await rows(room, 'SELECT extremities, current_group FROM room')
    await ring(room)

    expect(await stored(room, old)).toEqual({ ...before, redacted_by: 0, json: { ...before.json, content: {} } })
    expect(await allText(room)).not.toMatch(/"overdue|overdue answer/)
    expect(await rows(room, 'SELECT * FROM relations')).toEqual([])
    expect(await rows(room, "SELECT rowid FROM search WHERE search MATCH 'overdue'")).toEqual([])
    expect(await found(room, 'fresh')).toEqual([fresh])
    expect(await rows(room, 'SELECT * FROM current_state ORDER BY type, state_key')).toEqual(state)
    expect(await rows(room, 'SELECT extremities, current_group FROM room')).toEqual(header)
    await join(room, bob)
    expect(await say(room, bob, 'and on it goes')).toMatch(/^\$/)
  })
})

describe('what was taken away', () => {
  it('stays away once messages are kept again', async () => {
    const room = await makeRoom()
    const [old, kept] = [await send(room, 2, text('overdue')), await send(room, 0.5, text('fresh'))]
    await setLifetime(room)
    await ring(room)
    await setLifetime(room, {})
    const page = await room.rpc.messages({ reader: alice, dir: 'b', limit: 100 })
    const ids = page.ok ? page.chunk.map(({ event_id }) => event_id) : []
    expect(ids).toContain(kept)
    expect(ids).not.toContain(old)
  })

  it('is what a message said before an edit that is over, where that was not', async () => {
    const room = await makeRoom()
    const original = await send(room, 0.5, text('original'))
    const edit = { ...text('* edited'), 'm.new_content': text('edited') }
    await send(room, 2, { ...edit, 'm.relates_to': { rel_type: 'm.replace', event_id: original } })
    expect(await rows(room, "SELECT count(*) AS n FROM search WHERE search MATCH 'edited'")).toEqual([{ n: 1 }])
    await setLifetime(room)
    await ring(room)
    expect(await rows(room, "SELECT count(*) AS n FROM search WHERE search MATCH 'edited'")).toEqual([{ n: 0 }])
    expect(await found(room, 'original')).toEqual([original])
  })

  it('is not even stored where it comes too late', async () => {
    const room = await publicRoom()
    await setLifetime(room)
    await withRoom(room, (opened) => {
      const prev = [opened.reader.eventOf(opened.reader.lastNid())]
      for (const source of ['live', 'history'] as const) {
        const content = { ...text('overdue'), 'm.relates_to': { rel_type: 'm.thread', event_id: '$any' } }
        const late = { type: 'm.room.message', content, prev, originServerTs: Date.now() - 2 * day }
        const { nid } = receive(opened, late, { source })
        expect(opened.reader.eventOf(nid)).toMatchObject({ redactedBy: 0, pdu: { content: {} } })
      }
      const timely = receive(opened, { type: 'm.room.message', content: text('fresh'), prev })
      expect(opened.reader.eventOf(timely.nid)).toMatchObject({
        redactedBy: undefined,
        pdu: { content: text('fresh') },
      })
    })
    expect(await allText(room)).not.toContain('overdue')
    expect(await rows(room, "SELECT rowid FROM search WHERE search MATCH 'overdue'")).toEqual([])
    expect(await rows(room, 'SELECT * FROM relations')).toEqual([])
  })
})

/** Messages of these times like the newest one, in rows that only the purge looks at. */
function fill({ reader: { sql } }: Room, count: number, timeOf: (n: number) => number): void {
  const { last } = sql.exec<{ last: number }>('SELECT max(nid) AS last FROM events').one()
  for (let n = 0; n < count; n++) {
    sql.exec(
      `INSERT INTO events(nid, event_id, type, sender, depth, origin_server_ts, outcome, state_before, state_after, auth, json)
       SELECT ?1, ?2, type, sender, 100 + ?1, ?3, 0, state_before, state_after, auth,
       json_set(json, '$.type', type, '$.origin_server_ts', ?3) FROM events WHERE nid = ?4`,
      last + 1 + n,
      `$made-up-${n}`,
      timeOf(n),
      last,
    )
  }
}
const whole = ({ reader: { sql } }: Room) =>
  sql
    .exec<{ ts: number }>(
      "SELECT origin_server_ts AS ts FROM events WHERE type = 'org.example.text' AND redacted_by IS NULL ORDER BY ts",
    )
    .toArray()
    .map(({ ts }) => ts)

describe('the work', () => {
  it('is done in bounded turns, and each time goes on where it was', async () => {
    const room = await makeRoom()
    await send(room, 0, { body: 'some' }, 'org.example.text')
    await withRoom(room, (opened) => {
      const last = whole(opened)
      // In no order, and one from a future in which nobody waits for it.
      fill(opened, 1500, (n) => ((n * 7919) % 1500) * 1000)
      opened.reader.forget()
      expect(earliestMessage(opened)).toBe(0)
      const left = (horizon: number) => [...Array(1500).keys()].map((n) => n * 1000).filter((ts) => ts >= horizon)
      let turns = 0
      for (const horizon of [0, 1000, 400_000, 400_000, 1_000_000]) {
        for (let more = true; more; turns++) {
          const before = whole(opened).length
          more = purge(opened, horizon, 100)
          expect(before - whole(opened).length).toBeLessThanOrEqual(100)
          opened.reader.forget()
        }
        expect(whole(opened)).toEqual([...left(horizon), ...last])
        expect(earliestMessage(opened)).toBe(left(horizon)[0])
      }
      expect(turns).toBeLessThan(30)
      purge(opened, 1_500_000, 5000)
      expect(whole(opened)).toEqual(last)
      expect(earliestMessage(opened)).toBe(last[0])
    })
  })

  it('looks at what it takes away, and not at the room', async () => {
    const room = await makeRoom()
    await send(room, 0, { body: 'some' }, 'org.example.text')
    await withRoom(room, (opened, storage) => {
      fill(opened, 5000, (n) => n * 1000)
      opened.reader.forget()
      while (purge(opened, 0, 100));
      const first = countRows(storage, () => expect(purge(opened, 50_000, 100)).toBe(false))
      const later = countRows(storage, () => expect(purge(opened, 100_000, 100)).toBe(false))
      // A row for each message, and one for its block.
      expect(first.written).toBeLessThanOrEqual(52)
      expect(later.written).toBeLessThanOrEqual(52)
      expect(later.read).toBeLessThan(1500)
      const nothing = countRows(storage, () => expect(purge(opened, 100_000, 100)).toBe(false))
      expect(nothing.written).toBe(0)
      expect(nothing.read).toBeLessThan(600)
      console.log('rows of a purge of 50 messages in 5,000:', later, 'of none:', nothing)
    })
  })

  it('writes few rows for a text that can be searched', async () => {
    const room = await makeRoom()
    for (let n = 0; n < 20; n++) await send(room, 2, text(`some words of number ${n}`))
    await withRoom(room, (opened, storage) => {
      const { written } = countRows(storage, () => void purge(opened, Date.now() - day, 100))
      console.log('rows written by a purge of 20 searchable messages:', written)
      expect(written).toBeLessThanOrEqual(20 * 3 + 2)
    })
  })
})

describe('the alarm', () => {
  const alarmOf = async (room: TestRoom) =>
    (await rows<{ at: number }>(room, "SELECT at FROM alarms WHERE name = 'expire'"))[0]?.at
  const near = (at: number) => expect.closeTo(at, -6)

  it('is set in no room whose messages are kept', async () => {
    const room = await makeRoom()
    await send(room, 99, text('old'))
    await room.evict()
    await say(room, alice, 'new')
    expect(await alarmOf(room)).toBeUndefined()
    expect(await rows(room, 'SELECT * FROM retention_timing')).toEqual([])
    expect(await rows(room, 'SELECT * FROM retention_blocks')).toEqual([])
  })

  it('is set in none without messages, and goes when there is nothing left', async () => {
    const room = await makeRoom()
    await setLifetime(room)
    expect(await alarmOf(room)).toBeUndefined()
    await send(room, 2, text('overdue'))
    expect(await alarmOf(room)).toBeTypeOf('number')
    await ring(room)
    expect(await alarmOf(room)).toBeUndefined()
    await room.rpc.setMembership({ sender: alice, target: bob, membership: 'invite' })
    expect(await alarmOf(room)).toBeUndefined()
    await say(room, alice, 'new')
    expect(await alarmOf(room)).toEqual(near(Date.now() + day + day / 4))
  })

  it('rings some time after the oldest message is over, once for many', async () => {
    const room = await makeRoom()
    await send(room, 0.5, text('older'))
    await send(room, 0.25, text('newer'))
    await setLifetime(room)
    const at = await alarmOf(room)
    expect(at).toEqual(near(Date.now() + 18 * hour))
    const written = await withRoom(room, (_, storage) => countRows(storage, () => undefined).written)
    expect(written).toBe(0)
    for (let n = 0; n < 5; n++) await say(room, alice, `message ${n}`)
    expect(await alarmOf(room)).toBe(at)
  })

  it('leaves time to take a policy back', async () => {
    const room = await makeRoom()
    const old = await send(room, 99, text('old'))
    await setLifetime(room, { max_lifetime: 1 })
    expect(await alarmOf(room)).toBeGreaterThan(Date.now() + 30_000)
    await setLifetime(room, {})
    expect(await alarmOf(room)).toBeUndefined()
    expect((await stored(room, old)).json).toMatchObject({ content: text('old') })
  })

  it('follows policies and settings that change, however long a room may want to keep', async () => {
    const room = await makeRoom()
    await send(room, 1, text('of yesterday'))
    await withRoom(room, (opened, storage) => {
      const alarmWith = (max: number | undefined, now = Date.now()): number | undefined => {
        const retention: RetentionRules = {
          defaults: { min: undefined, max },
          allowed: { min: undefined, max: undefined },
        }
        const alarms = new AlarmScheduler<'expire'>(storage)
        new Purger({ ...opened, retention }, alarms).changed(now)
        return alarms.time('expire')
      }
      const now = Date.now()
      expect(alarmWith(undefined)).toBeUndefined()
      expect(alarmWith(30 * day)).toEqual(near(now + 30 * day))
      expect(alarmWith(3 * day)).toEqual(near(now + 2.75 * day))
      expect(alarmWith(90 * day)).toEqual(near(now + 90 * day))
      expect(alarmWith(Number.MAX_SAFE_INTEGER)).toEqual(near(now + 366 * day))
      expect(alarmWith(undefined)).toBeUndefined()
    })
  })

  it('goes on by itself where there is much', async () => {
    const room = await makeRoom()
    await send(room, 0, { body: 'some' }, 'org.example.text')
    await withRoom(room, (opened) => fill(opened, 1200, (n) => n))
    await room.evict()
    await setLifetime(room)
    for (let rings = 0; rings < 3; rings++) await ring(room)
    expect(await withRoom(room, (opened) => whole(opened))).toHaveLength(1)
    expect(await alarmOf(room)).toEqual(near(Date.now() + 1.25 * day))
  })
})
