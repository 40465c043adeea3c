/** Somebody reads a message before its push has arrived: the count must not stay behind. Spec: client-server-api/#push-notifications. */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { beforeAll, expect, test, vi } from 'vitest'

import { registerUser } from '../client.ts'
import { createRoom, join, say } from '../sync/syncing.ts'
import { openHost, openNetwork } from './gateway.ts'

beforeAll(openNetwork)

test('a gateway that takes its time hears of what was read meanwhile', async () => {
  const [alice, bob] = [await registerUser('reading-alice'), await registerUser('reading-bob')]
  const room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  const taken: JsonObject[] = []
  let read = () => {}
  const isRead = new Promise<void>((resolve) => (read = resolve))
  openHost('slow-gateway.example', async (request) => {
    const body: unknown = await request.json()
    const notification = isObject(body) ? own(body, 'notification') : undefined
    if (isObject(notification)) taken.push(notification)
    if (taken.length === 1) await isRead
    return Response.json({ rejected: [] })
  })
  const set = await bob.post('/pushers/set', {
    app_id: 'org.example.app',
    pushkey: 'key',
    kind: 'http',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'en',
    data: { url: 'https://slow-gateway.example/_matrix/push/v1/notify' },
  })
  expect(set.status).toBe(200)

  const eventId = await say(alice, room, 'look')
  const patience = { timeout: 30_000, interval: 20 }
  await vi.waitFor(() => expect(taken).toMatchObject([{ event_id: eventId, counts: { unread: 1 } }]), patience)
  const place = `/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`
  expect((await bob.post(place, {})).status).toBe(200)
  const quick = await bob.get<{ rooms: { join: Record<string, { unread_notifications: object }> } }>('/sync')
  expect(quick.body.rooms.join[room]?.unread_notifications).toMatchObject({ notification_count: 0 })
  // Rooms are asked no more often than twice a second.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  read()
  await vi.waitFor(() => expect(taken).toHaveLength(2), patience)
  expect(taken[1]).toMatchObject({ counts: { unread: 0 } })
  expect(taken[1]).not.toHaveProperty('event_id')
})
