/** Account data that is deleted, or set to nothing. MSC3391 and MSC3890 (unstable). */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, login, registerUser, type User } from '../client.ts'
import { createRoom, ok, refused } from '../rooms/rooms.ts'

const home = (user: User) => `/user/${encodeURIComponent(user.userId)}`
const unstable = '/_matrix/client/unstable/org.matrix.msc3391'
interface Events {
  readonly events: { readonly type: string; readonly content: object }[]
}
interface Synced {
  readonly next_batch: string
  readonly account_data?: Events
  readonly rooms?: { readonly join?: Record<string, { readonly account_data?: Events }> }
}
const sync = (user: User, since?: string) =>
  ok(user.get<Synced>(since === undefined ? '/sync' : `/sync?since=${since}`))

let alice: User
let roomId: string
beforeAll(async () => {
  alice = await registerUser('deleting-alice')
  roomId = await createRoom(alice)
})

describe.each(['by DELETE', 'by PUT of nothing'])('%s', (how) => {
  test.each(['of the user', 'of a room'])('%s', async (of) => {
    const place = of === 'of a room' ? `/rooms/${encodeURIComponent(roomId)}` : ''
    const path = `${home(alice)}${place}/account_data/org.example.x`
    const shown = (synced: Synced) =>
      (place === '' ? synced.account_data : synced.rooms?.join?.[roomId]?.account_data)?.events.find(
        ({ type }) => type === 'org.example.x',
      )
    await ok(alice.put(path, { a: 1 }))
    const { next_batch } = await sync(alice)
    await ok(how === 'by DELETE' ? alice.delete(unstable + path) : alice.put(path, {}))
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(shown(await sync(alice, next_batch))).toEqual({ type: 'org.example.x', content: {} })
    expect(shown(await sync(alice))).toBeUndefined()
    // Again it is no news.
    const after = (await sync(alice)).next_batch
    await ok(alice.delete(unstable + path))
    expect(shown(await sync(alice, after))).toBeUndefined()
    await ok(alice.put(path, { a: 2 }))
    expect((await alice.get(path)).body).toEqual({ a: 2 })
  })
})

test('settings of a device go with it', async () => {
  const phone = await login(alice)
  const types = ['m.local_notification_settings', 'org.matrix.msc3890.local_notification_settings']
  const path = (type: string, { deviceId }: User) => `${home(alice)}/account_data/${type}.${deviceId}`
  for (const type of types)
    for (const device of [alice, phone]) await ok(alice.put(path(type, device), { is_silenced: true }))
  await ok(phone.post('/logout'))
  for (const type of types) {
    expect(await alice.get(path(type, phone))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect((await alice.get(path(type, alice))).body).toEqual({ is_silenced: true })
  }
})

test('bad requests', async () => {
  const bob = await registerUser('deleting-bob')
  const path = `${unstable}${home(alice)}/account_data/org.example.x`
  expect(await bob.delete(path)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await anonymous.delete(path)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  for (const type of ['m.push_rules', 'm.fully_read']) {
    expect(await alice.delete(`${unstable}${home(alice)}/account_data/${type}`)).toMatchObject(
      refused(405, 'M_BAD_JSON'),
    )
  }
})
