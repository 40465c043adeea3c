/** Where the events of a span of positions lie in the order of history, and what it costs to find out. */
import { expect, test } from 'vitest'

import { highestUpTo, lowestBetween } from '../../../durable-objects/room/history-bounds.ts'
import { messages } from '../../../durable-objects/room/messages.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { alice, makeRoom, withRoom } from '../room/rooms.ts'
import { countRows } from '../room/row-count.ts'
import { granted } from './reading.ts'
import { dice } from './random-room.ts'

const highestQuery =
  'SELECT depth, nid FROM events WHERE outcome = 0 AND (pos IS NULL OR pos <= ?) ORDER BY depth DESC, nid DESC LIMIT 1'
const lowestQuery = 'SELECT depth, nid FROM events WHERE pos > ? AND pos <= ? ORDER BY depth, nid LIMIT 1'

/** Copies of a message, at positions and depths of our choosing. */
function fill(room: Room, count: number, place: (n: number) => { pos: number | null; depth: number }): void {
  const { sql } = room.reader
  const { pos: from } = room.reader.header()
  const copy = `INSERT INTO events(event_id, type, sender, depth, origin_server_ts, pos, outcome, state_before, state_after, auth, json)
    SELECT ?, 'm.room.message', sender, ?, origin_server_ts, ?, 0, state_after, state_after, auth,
      json_set(json, '$.type', 'm.room.message', '$.state_key', NULL, '$.content', json('{"body":"copy","msgtype":"m.text"}'))
    FROM events WHERE nid = (SELECT max(nid) FROM events WHERE type = 'm.room.history_visibility')`
  let newest = from
  for (let n = 1; n <= count; n++) {
    const { pos, depth } = place(n)
    if (pos !== null) newest = from + pos
    sql.exec(copy, `$copy${n}`.padEnd(44, 'x'), depth, pos === null ? null : from + pos)
  }
  room.reader.forget()
  room.transactor.setHeader({ pos: newest })
}

test.each([1, 2, 3, 4])('depths may say anything: seed %i', async (seed) => {
  const roll = dice(seed)
  await withRoom(await makeRoom(), (room) => {
    const found = (query: string, ...bindings: number[]) => room.reader.sql.exec(query, ...bindings).toArray()[0]
    // Receipts take positions as well, late events have a low depth, and some fill the past.
    let pos = 0
    const place = (n: number) => {
      const isFilled = roll(9) === 0
      if (!isFilled) pos += 1 + roll(2)
      return { pos: isFilled ? null : pos, depth: roll(12) === 0 ? roll(2000) : n + roll(40) }
    }
    fill(room, 2000, place)
    const { pos: newest } = room.reader.header()
    for (let n = 0; n < 60; n++) {
      const [after, upTo] = [roll(newest + 40), n % 3 === 0 ? Infinity : roll(newest + 40)]
      const most = Math.min(upTo, Number.MAX_SAFE_INTEGER)
      expect(highestUpTo(room.reader, upTo)).toEqual(found(highestQuery, most))
      expect(lowestBetween(room.reader, after, upTo)).toEqual(found(lowestQuery, after, most))
    }
  })
})

test('a page from an old position reads as many rows in a long room as in a short one', async () => {
  const costOf = async (count: number) =>
    withRoom(await makeRoom(), (room) => {
      const { pos: from } = room.reader.header()
      fill(room, count, (n) => ({ pos: n, depth: from + n }))
      const middle = from + count / 2
      const page = (dir: 'b' | 'f', to?: string) => () => {
        const request = { reader: alice, dir, from: `p${middle}`, limit: 20, ...(to === undefined ? {} : { to }) }
        expect(granted(messages(room, request, 0)).chunk).toHaveLength(20)
      }
      // Blocks are noted once; then nothing of the room is in memory.
      page('b')()
      page('f')()
      room.reader.forget()
      return [page('b'), page('f')].map((work) => countRows(room.reader, work).read)
    })
  // At most two blocks, which are not noted while they are not full, and the page.
  for (const count of [2000, 6000]) for (const read of await costOf(count)) expect(read).toBeLessThan(700)
})
