/** Rooms that nobody uses hear of new rules of retention by the clock, some at a time, and once. */
import { env } from 'cloudflare:workers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { RoomDO } from '../../../durable-objects/room/room-do.ts'
import { tellRoomsOfRetention } from '../../../worker/retention-round.ts'
import { anonymous } from '../client.ts'
import { alice, makeRoom, rows, say, withRoom } from '../room/rooms.ts'

const told = vi.spyOn(RoomDO.prototype, 'timeRetention')
afterAll(() => told.mockRestore())
beforeAll(async () => {
  // The tables are made by the first request.
  await anonymous.get('/_matrix/client/versions')
})

const on = { ...env, RETENTION: 'on' }
const year = { ...on, RETENTION_MAX_LIFETIME: '1y' }
const off = { ...env, RETENTION: 'off' }

test('each change goes around once', async () => {
  await makeRoom()
  await makeRoom()
  expect(await tellRoomsOfRetention(off)).toBe(0)
  expect(await tellRoomsOfRetention(on)).toBe(2)
  expect(told).toHaveBeenCalledTimes(2)
  expect(await tellRoomsOfRetention(on)).toBe(0)
  expect(await tellRoomsOfRetention(year)).toBe(2)
  expect(await tellRoomsOfRetention(year)).toBe(0)
  // What ends meanwhile is seen when it is on again.
  expect(await tellRoomsOfRetention(off)).toBe(0)
  expect(await tellRoomsOfRetention(year)).toBe(2)
})

test('a room that lost sight of its messages looks again', async () => {
  const room = await makeRoom()
  await say(room, alice, 'hello')
  await room.rpc.sendEvent({ sender: alice, type: 'm.room.retention', stateKey: '', content: { max_lifetime: 1000 } })
  await withRoom(room, (_, { sql }) => {
    sql.exec("DELETE FROM alarms WHERE name = 'expire'")
    sql.exec('UPDATE retention_timing SET lifetime = 5')
  })
  await room.evict()
  await tellRoomsOfRetention(on)
  expect(await rows(room, "SELECT name FROM alarms WHERE name = 'expire'")).toHaveLength(1)
})

test('very many are told piece by piece', { timeout: 120_000 }, async () => {
  await tellRoomsOfRetention(year)
  const ids = JSON.stringify(Array.from({ length: 250 }, (_, n) => `!nowhere${n}:test.local`))
  await env.DB.prepare('INSERT INTO known_rooms(room_id, added_at) SELECT value, 1 FROM json_each(?)').bind(ids).run()
  told.mockClear()
  const counts = [await tellRoomsOfRetention(on), await tellRoomsOfRetention(on), await tellRoomsOfRetention(on)]
  expect(counts).toEqual([200, 53, 0])
  expect(told).toHaveBeenCalledTimes(253)
})
