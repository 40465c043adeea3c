/** Rooms from before there was an index, and what looking into it costs. */
import { runDurableObjectAlarm } from 'cloudflare:test'
import { expect, test } from 'vitest'

import { indexOlder } from '../../../durable-objects/room/search/search-index.ts'
import { searchRoom } from '../../../durable-objects/room/search/search-room.ts'
import { alice, freshRoomId, makeRoom, roomObject, say, type TestRoom, withRoom } from '../room/rooms.ts'

const search = { reader: alice, match: '"word"', order: 'recent', limit: 10, countUpTo: 20 } as const

/** As it was when the table came. */
const emptyIndex = (room: TestRoom) =>
  withRoom(room, ({ reader: { sql } }) => {
    sql.exec('DELETE FROM search')
    sql.exec('UPDATE search_progress SET below = (SELECT max(nid) + 1 FROM events)')
  })

test('older events are indexed piece by piece, newest first, and not twice', async () => {
  const room = await makeRoom()
  for (let n = 0; n < 7; n++) await say(room, alice, `word ${n}`)
  await emptyIndex(room)
  await say(room, alice, 'word new')
  const steps = await withRoom(room, (opened) => {
    const found = () => searchRoom(opened, search).hits.length
    const steps: (number | boolean)[] = [found()]
    for (let n = 0; n < 5; n++) steps.push(indexOlder(opened, 3), found())
    return steps
  })
  expect(steps).toEqual([1, true, 4, true, 7, false, 8, false, 8, false, 8])
})

test('a search begins it and an alarm goes on', async () => {
  const room = await makeRoom()
  await say(room, alice, 'word')
  await emptyIndex(room)
  await room.evict()
  expect((await room.rpc.search(search)).hits).toHaveLength(1)
  expect(await runDurableObjectAlarm(room.stub)).toBeTypeOf('boolean')
  expect((await room.rpc.search(search)).hits).toHaveLength(1)
})

test('rows are read for the answer, however many messages there are', async () => {
  const room = await makeRoom()
  for (let n = 0; n < 30; n++) await say(room, alice, n % 3 === 0 ? `word ${n}` : `other ${n}`)
  const cost = async () =>
    withRoom(room, (opened) => {
      const { sql } = opened.reader
      const rows = { read: 0 }
      const exec = sql.exec.bind(sql)
      const cursors: { readonly rowsRead: number }[] = []
      const counting = new Proxy(sql, {
        get: (target, name) =>
          name === 'exec'
            ? (...args: Parameters<typeof exec>) => {
                const cursor = exec(...args)
                cursors.push(cursor)
                return cursor
              }
            : Reflect.get(target, name),
      })
      Object.defineProperty(opened.reader, 'sql', { value: counting, configurable: true })
      const { hits } = searchRoom(opened, { ...search, limit: 5, countUpTo: 0 })
      rows.read = cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0)
      return { hits: hits.length, read: rows.read }
    })
  const few = await cost()
  for (let n = 0; n < 300; n++) await say(room, alice, `other ${n}`)
  for (let n = 0; n < 60; n++) await say(room, alice, `word ${n}`)
  const many = await cost()
  expect(few.hits).toBe(5)
  expect(many.hits).toBe(5)
  expect(many.read).toBeLessThan(250)
})

test('a room that is not there finds nothing and makes no table', async () => {
  const room = roomObject(freshRoomId())
  expect(await room.rpc.search(search)).toEqual({ hits: [], count: 0 })
  expect(await room.rpc.foundEvents({ reader: alice, deviceId: 'D', eventIds: [], ignoredUsers: [] })).toEqual([])
})
