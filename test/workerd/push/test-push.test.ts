/** "Send me a test push": a notification of nothing to each of a user's pushers, and what became of it. */
import { beforeAll, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { createRoom, join, say } from '../sync/syncing.ts'
import { type Gateway, openGateway, openNetwork } from './gateway.ts'

let admin: User
let bob: User
let gateway: Gateway

beforeAll(async () => {
  openNetwork()
  gateway = openGateway('tested.example')
  ;[admin, bob] = [await registerAdmin('tested-admin'), await registerUser('tested-bob')]
})

const setPusher = async (pushkey: string, more: object = {}) => {
  const names = { app_display_name: 'App', device_display_name: pushkey, lang: 'en' }
  const pusher = { app_id: 'org.example', pushkey, kind: 'http', ...names, data: { url: gateway.url }, ...more }
  expect((await bob.post('/pushers/set', pusher)).status).toBe(200)
}
const testPush = (user: User, of = bob.userId) => user.post(`/_hearth/admin/users/${encodeURIComponent(of)}/test_push`)

test('goes to every pusher that is on, and says what became of it', async () => {
  expect(await testPush(bob)).toMatchObject({ status: 200, body: { pushers: [] } })
  await setPusher('phone')
  await setPusher('old phone')
  await setPusher('tablet', { 'org.matrix.msc3881.enabled': false })
  gateway.answers(({ devices }) =>
    Response.json({ rejected: devices[0]?.pushkey === 'old phone' ? ['old phone'] : [] }),
  )
  const of = (device: string, result: string) => ({ kind: 'http', app_id: 'org.example', device, result })
  expect(await testPush(admin)).toMatchObject({
    status: 200,
    body: { pushers: [of('phone', 'taken'), of('old phone', 'gone'), of('tablet', 'off')] },
  })
  expect(gateway.taken[0]).toMatchObject({ type: 'm.room.message', content: { msgtype: 'm.text' }, prio: 'high' })
  gateway.answers(() => null)
  expect((await testPush(bob)).body).toEqual({ pushers: [of('phone', 'failed'), of('tablet', 'off')] })
})

test('does not disturb what comes after it', async () => {
  gateway.answers(() => Response.json({ rejected: [] }))
  gateway.taken.length = 0
  const room = await createRoom(admin, { preset: 'public_chat' })
  await join(bob, room)
  await say(admin, room, 'real')
  expect((await gateway.took(1)).content).toMatchObject({ body: 'real' })
})

test('is for oneself and for admins, and makes nothing for people who are not here', async () => {
  const carol = await registerUser('tested-carol')
  expect(await testPush(carol)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  expect(await testPush(admin, '@nobody:test.local')).toMatchObject({ status: 404 })
  expect(await testPush(admin, '@bob:elsewhere.example')).toMatchObject({ status: 404 })
})
