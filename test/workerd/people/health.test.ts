/** What the server stands on: told to its admins alone. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import { anonymous, clientWith, registerUser, serverUrl } from '../client.ts'
import { registerAdmin } from './admins.ts'

const path = '/_hearth/admin/health'

interface Health {
  server_name: string
  checks: { about: string; state: string; what: string; next?: string }[]
}

test('every binding answers an admin; mail that is not set up is no fault', async () => {
  const { accessToken } = await registerAdmin('health-admin')
  const { status, body } = await clientWith(accessToken).get<Health>(path)
  expect(status).toBe(200)
  expect(body.server_name).toBe('test.local')
  expect(body.checks.map(({ about, state }) => `${about} ${state}`)).toEqual([
    'DB (D1) good',
    'MEDIA (R2) good',
    'ROOM good',
    'USER_SYNC good',
    'FEDERATION_SENDER good',
    'PASSWORD good',
    'Mail off',
    'Push good',
    'TURN off',
  ])
  for (const { state, next } of body.checks) expect(next === undefined).toBe(state === 'good')
})

test('a bucket that fails is named, with the next step', async () => {
  const { accessToken } = await registerAdmin('health-admin-2')
  const broken = { head: () => Promise.reject(new Error('bucket not found')) }
  const request = new Request(serverUrl + path, { headers: { Authorization: `Bearer ${accessToken}` } })
  const context = createExecutionContext()
  const response = await createApp().fetch(request, { ...env, MEDIA: broken }, context)
  const body: Health = await response.json()
  await waitOnExecutionContext(context)
  expect(body.checks.find(({ about }) => about === 'MEDIA (R2)')).toMatchObject({
    state: 'bad',
    what: 'bucket not found',
    next: expect.stringContaining('npm run deploy'),
  })
})

interface Findings {
  readonly findings: readonly { readonly about: string; readonly state: string; readonly what: string }[]
}

test('the check-up looks at the server from outside too, as far as a server can', async () => {
  const { accessToken } = await registerAdmin('health-admin-3')
  const { status, body } = await clientWith(accessToken).get<Findings>('/_hearth/admin/doctor')
  expect(status).toBe(200)
  const states = Object.fromEntries(body.findings.map(({ about, state }) => [about, state]))
  expect(states).toMatchObject({
    'Server well-known': 'doubt',
    Discovery: 'good',
    'Federation API': 'bad',
    ROOM: 'good',
    Mail: 'doubt',
  })
})

test('nobody else is told', async () => {
  const { accessToken } = await registerUser('health-alice')
  for (const each of [path, '/_hearth/admin/doctor']) {
    expect((await clientWith(accessToken).get(each)).status).toBe(403)
    expect((await anonymous.get(each)).status).toBe(401)
  }
})
