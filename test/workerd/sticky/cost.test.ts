/** What sticky events cost a room: a few rows each, and a room without them nothing. */
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import type { Room } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { syncSlice } from '../../../durable-objects/room/sync-slice.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { countRows } from '../room/row-count.ts'
import { alice, makeRoom, say, withRoom } from '../room/rooms.ts'

const now = Date.now()

async function sender() {
  const identity = await serverIdentity(env)
  return (room: Room, body: string, stickyDuration?: number) => {
    const request = { sender: alice, type: 'm.room.message', content: { body }, stickyDuration }
    expect(sendEvent(room, identity, request, now)).toMatchObject({ ok: true })
  }
}
const slice = (room: Room) =>
  syncSlice(room, { reader: alice, deviceId: 'D', from: null, filter: {}, fullState: false, useStateAfter: false }, now)

test('three rows more than any other', async () => {
  const made = await makeRoom()
  await say(made, alice, 'first')
  const send = await sender()
  const counts = await withRoom(made, (room, storage) =>
    [undefined, 60_000, 60_000].map(
      (duration, index) => countRows(storage, () => send(room, `message ${index}`, duration)).written,
    ),
  )
  const [plain = 0, sticky = 0, another = 0] = counts
  console.log('rows written by a message:', plain, 'and by a sticky one:', sticky, another)
  expect([sticky - plain, another - plain]).toEqual([3, 3])
})

test('a room without any is not even asked for them', async () => {
  const made = await makeRoom()
  await say(made, alice, 'first')
  const send = await sender()
  const asked = await withRoom(made, (room, { sql }) => {
    const texts: string[] = []
    const exec = sql.exec.bind(sql)
    const listening = (...args: Parameters<typeof exec>) => {
      texts.push(args[0])
      return exec(...args)
    }
    Reflect.defineProperty(sql, 'exec', { value: listening, configurable: true })
    send(room, 'second')
    expect(slice(room)).toMatchObject({ ok: true, section: 'join' })
    const before = texts.filter((text) => text.includes('sticky_events'))
    send(room, 'third', 60_000)
    slice(room)
    Reflect.deleteProperty(sql, 'exec')
    return { before, after: texts.filter((text) => text.includes('sticky_events')).length }
  })
  expect(asked.before).toEqual([])
  expect(asked.after).toBeGreaterThan(0)
})
