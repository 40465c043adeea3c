/** What a client learns of the server before and after it signs in. */
import { expect, test } from 'vitest'

import { anonymous, registerUser, send } from '../client.ts'
import { ask } from './servers.ts'

test('the versions of the specification', async () => {
  const { status, body } = await anonymous.get<{ versions: string[] }>('/_matrix/client/versions')
  expect(status).toBe(200)
  expect(body.versions).toEqual(expect.arrayContaining(['r0.6.1', 'v1.1', 'v1.19']))
  expect(body.versions).toHaveLength(20)
})

test('where the server is', async () => {
  const { body, headers } = await anonymous.get('/.well-known/matrix/client')
  expect(body).toEqual({ 'm.homeserver': { base_url: 'http://test.local' } })
  expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
  const elsewhere = { PUBLIC_URL: 'https://matrix.example.org/' }
  expect((await ask(elsewhere, 'GET', '/.well-known/matrix/client')).body).toEqual({
    'm.homeserver': { base_url: 'https://matrix.example.org' },
  })
})

test('where other servers find it', async () => {
  // A Worker answers on 443 and never on 8448.
  const elsewhere = { PUBLIC_URL: 'https://matrix.example.org/' }
  expect((await ask(elsewhere, 'GET', '/.well-known/matrix/server')).body).toEqual({
    'm.server': 'matrix.example.org:443',
  })
  expect(await anonymous.get('/.well-known/matrix/server')).toMatchObject({ status: 404 })
})

test('what it lets its users do', async () => {
  const alice = await registerUser('discovery-alice')
  expect(await alice.get('/capabilities')).toMatchObject({
    status: 200,
    body: {
      capabilities: {
        'm.change_password': { enabled: true },
        'm.room_versions': { default: '12', available: { '1': 'stable', '12': 'stable' } },
        'm.profile_fields': { enabled: true },
        'm.3pid_changes': { enabled: false },
      },
    },
  })
})

test('a browser may ask before it has a token', async () => {
  const answer = await send('OPTIONS', '/account/whoami')
  expect(answer.status).toBe(204)
  expect(answer.headers.get('Access-Control-Allow-Headers')).toContain('Authorization')
})
