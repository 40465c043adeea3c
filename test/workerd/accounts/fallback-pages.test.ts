/** Pages for clients that do not know a stage, or cannot log in. Spec: client-server-api/#fallback, #login-fallback. */
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { createRegistrationToken } from '../../../worker/accounts/registration-tokens.ts'
import { type Answer, anonymous, send } from '../client.ts'
import { ask } from './servers.ts'

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text')
  return value
}

const fallback = (stage: string) => `/_matrix/client/v3/auth/${stage}/fallback/web`
const submit = (stage: string, fields: Record<string, string>) =>
  send('POST', fallback(stage), new URLSearchParams(fields).toString(), {
    'Content-Type': 'application/x-www-form-urlencoded',
  })

function expectStrict({ headers, text }: Pick<Answer, 'headers' | 'text'>) {
  expect(headers.get('Content-Type')).toBe('text/html; charset=utf-8')
  const policy = headers.get('Content-Security-Policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toContain('unsafe')
  const nonce = /script-src 'nonce-([\w-]+)'/.exec(policy)?.[1] ?? 'none'
  for (const tag of text.match(/<(?:script|style)[^>]*>/g) ?? []) expect(tag).toContain(`nonce="${nonce}"`)
}

test('a registration by token, whose stage is passed on the page', async () => {
  // Any request sets the database up.
  await anonymous.get('/_matrix/client/versions')
  await createRegistrationToken(env, { token: 'for-the-page', usesAllowed: 1, expiresAt: null })
  const wanted = { username: 'by-page', password: 'by-page password' }
  const register = (body: object) => ask({ REGISTRATION: 'token' }, 'POST', '/_matrix/client/v3/register', body)
  const asked = await register(wanted)
  expect(asked.status).toBe(401)
  const session = text(asked.body['session'])
  const stage = 'm.login.registration_token'
  const page = await anonymous.get(`${fallback(stage)}?session=${session}`)
  expect(page).toMatchObject({ status: 200, text: expect.stringContaining('name="token"') })
  expectStrict(page)
  expect(await submit(stage, { session, token: 'wrong' })).toMatchObject({ status: 403 })
  expect((await register({ ...wanted, auth: { session } })).status).toBe(401)
  const passed = await submit(stage, { session, token: 'for-the-page' })
  expect(passed).toMatchObject({ status: 200, text: expect.stringContaining('window.onAuthDone()') })
  expectStrict(passed)
  expect(await register({ ...wanted, auth: { session } })).toMatchObject({ status: 200 })
  expect((await register({ ...wanted, username: 'again', auth: { session } })).status).toBe(401)
})

test('a page passes no stage that the operation does not ask for', async () => {
  const { body } = await anonymous.post('/register', { username: 'page-owner', password: 'page-owner password' })
  expect(await submit('m.login.dummy', { session: text(body['session']) })).toMatchObject({ status: 200 })
  const wanted = { username: 'page-owner', password: 'page-owner password', auth: { session: body['session'] } }
  // Here the dummy stage is all there is.
  const registered = await anonymous.post<{ access_token: string }>('/register', wanted)
  expect(registered.status).toBe(200)
  const client = { Authorization: `Bearer ${registered.body.access_token}` }
  const get = (body: object) => send('POST', '/_matrix/client/v1/login/get_token', body, client)
  const { session } = (await get({})).body
  expect((await submit('m.login.password', { session: text(session) })).status).toBe(404)
  await submit('m.login.dummy', { session: text(session) })
  expect((await get({ auth: { session } })).status).toBe(401)
})

test('what comes with the address is escaped, and unknown stages have no page', async () => {
  const page = await anonymous.get(
    `${fallback('m.login.dummy')}?session=${encodeURIComponent('"><script>alert(1)</script>')}`,
  )
  expect(page.text).not.toContain('<script>alert')
  expectStrict(page)
  for (const stage of ['m.login.password', 'org.example', 'constructor']) {
    expect((await anonymous.get(`${fallback(stage)}?session=x`)).status).toBe(404)
    expect((await submit(stage, { session: 'x' })).status).toBe(404)
  }
  expect((await anonymous.get(fallback('m.login.dummy'))).status).toBe(400)
  expect((await submit('m.login.dummy', { session: 'unknown' })).status).toBe(403)
  expect((await submit('m.login.dummy', { session: 'x'.repeat(5000) })).status).toBe(413)
})

test.each(['login', 'register'])('the %s page', async (name) => {
  for (const path of [`/_matrix/static/client/${name}/`, `/_matrix/static/client/${name}?device_id=<b>`]) {
    const page = await anonymous.get(path)
    expect(page.status).toBe(200)
    expect(page.text).toContain(name === 'login' ? 'window.matrixLogin.onLogin' : 'window.matrixRegistration')
    expect(page.text).not.toContain('device_id=')
    expectStrict(page)
  }
})
