/** What administrators tell users, in the server's voice. Spec: client-server-api/#server-notices. */
import { env } from 'cloudflare:workers'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { beforeAll, expect, test } from 'vitest'

import { forgetTokens } from '../../../worker/accounts/token-cache.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { at, type ClientEvent, join, ok, refused, say } from './rooms.ts'

const path = '/_synapse/admin/v1/send_server_notice'
const voice = '@_server:test.local'
interface Synced {
  readonly rooms?: { readonly invite?: Record<string, { readonly invite_state: { readonly events: ClientEvent[] } }> }
}
const invites = async (user: User) => Object.entries((await ok(user.get<Synced>('/sync'))).rooms?.invite ?? {})

let admin: User
let alice: User
beforeAll(async () => {
  admin = await registerUser('notices-admin')
  alice = await registerUser('notices-alice')
  await env.DB.prepare('UPDATE users SET is_admin = 1 WHERE user_id = ?').bind(admin.userId).run()
  forgetTokens(parseUserId(admin.userId) ?? expect.fail(), admin.deviceId)
})

const content = { msgtype: 'm.text', body: 'Dear users' }
const notice = (txn = '') =>
  txn === ''
    ? ok(admin.post<{ event_id: string }>(path, { user_id: alice.userId, content }))
    : ok(admin.put<{ event_id: string }>(`${path}/${txn}`, { user_id: alice.userId, content }))

test('a notice comes in a room that cannot be rejected, but left', async () => {
  const { event_id } = await notice()
  const [invite] = await invites(alice)
  const [roomId, { invite_state }] = invite ?? expect.fail()
  expect(invite_state.events[0]?.sender).toBe(voice)
  expect(await alice.post(at(roomId, '/leave'))).toMatchObject(refused(403, 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM'))
  const tags = `/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(roomId)}/tags`
  expect((await ok(alice.get(tags)))['tags']).toEqual({ 'm.server_notice': {} })
  await join(alice, roomId)
  expect(await ok(alice.get(at(roomId, `/event/${encodeURIComponent(event_id)}`)))).toMatchObject({
    sender: voice,
    content,
  })
  await expect(say(alice, roomId, 'answer')).rejects.toThrow()
  await ok(alice.post(at(roomId, '/leave')))
  const [one, other] = [await notice('once'), await notice('once')]
  expect(one).toEqual(other)
  expect((await invites(alice)).map(([id]) => id)).toEqual([roomId])
})

test('nobody is called like the server, and only administrators speak for it', async () => {
  expect(
    (
      await anonymous.post('/register', {
        username: '_server',
        password: 'a password',
        auth: { type: 'm.login.dummy' },
      })
    ).status,
  ).toBe(400)
  expect(await alice.post(path, '')).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await alice.put(`${path}/1`, { user_id: alice.userId, content })).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await anonymous.post(path, {})).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  expect(await admin.post(path, { content })).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  expect(await admin.post(path, { user_id: alice.userId })).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  expect(await admin.post(path, { user_id: 7, content })).toMatchObject(refused(400, 'M_BAD_JSON'))
  expect(await admin.post(path, { user_id: 'alice', content })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  expect(await admin.post(path, { user_id: '@alice:elsewhere.example', content })).toMatchObject(
    refused(400, 'M_INVALID_PARAM'),
  )
  expect(await admin.post(path, { user_id: '@nobody:test.local', content })).toMatchObject(refused(404, 'M_NOT_FOUND'))
})
