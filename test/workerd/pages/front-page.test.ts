/** The page at `/`, for visitors, for programs, and for an owner whose Worker is not set up yet. */
import { createExecutionContext } from 'cloudflare:test'
import { createHash } from 'node:crypto'

import { env, exports } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import type { Env } from '../../../worker/env.ts'
import { anonymous, registerUser } from '../client.ts'

async function open(changes: Partial<Record<keyof Env, unknown>> = {}, headers: Record<string, string> = {}) {
  const request = new Request('http://test.local/', { headers: { Accept: 'text/html,*/*', ...headers } })
  const changed: Env = Object.assign({}, env, changes)
  const response = await createApp().fetch(request, changed, createExecutionContext())
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** Each script and style of the page is named by its hash, and nothing else may run. */
function expectStrict({ headers, text }: { headers: Headers; text: string }) {
  const policy = headers.get('Content-Security-Policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toContain('unsafe')
  expect(headers.get('Referrer-Policy')).toBe('no-referrer')
  for (const [, , inside = ''] of text.matchAll(/<(script|style)>([^]*?)<\/\1>/g)) {
    expect(policy).toContain(createHash('sha256').update(inside).digest('base64'))
  }
  expect(text).not.toMatch(/<(script|style) | style=| on\w+=/)
}

test('before anybody has an account it says how to begin', async () => {
  const page = await open({ REGISTRATION: 'closed' })
  expect(page.status).toBe(200)
  expect(page.text).toContain('Nobody has an account yet')
  expect(page.text).toContain('npm run register -- --link')
  expect(page.text).toContain('Make your account')
  expectStrict(page)
})

test('it says what the server is and how to sign in, in less than 30 KB', async () => {
  await registerUser('inhabitant')
  const page = await open()
  expect(page.headers.get('Content-Type')).toBe('text/html; charset=utf-8')
  expect(page.text.length).toBeLessThan(30_000)
  for (const words of [
    '@name:test.local',
    'Element Web',
    'Element X',
    'Fractal',
    'FluffyChat',
    'Registration is open',
  ]) {
    expect(page.text).toContain(words)
  }
  // Plain HTTP: clients need the whole address.
  expect(page.text).toContain('<kbd class="big">http://test.local</kbd>')
  expect(page.text).not.toContain('Nobody has an account yet')
  const secure = await open({ PUBLIC_URL: 'https://matrix.test.local' })
  expect(secure.text).toContain('<kbd class="big">test.local</kbd>')
  expect(secure.text).toContain('<kbd>https://matrix.test.local</kbd>')
  expectStrict(page)
})

test('registration decides which forms there are', async () => {
  await registerUser('somebody')
  const field = 'id="register-token"'
  expect((await open()).text).not.toContain(field)
  expect((await open({ REGISTRATION: 'token' })).text).toContain(field)
  const closed = (await open({ REGISTRATION: 'closed' })).text
  expect(closed).toContain('Registration is closed')
  expect(closed).not.toContain('id="register"')
  const mail = { MAIL_FROM: 'a@test.local', MAIL_URL: 'https://mail.test', REGISTRATION_EMAIL: 'required' }
  const byMail = (await open(mail)).text
  expect(byMail).toContain('Make the account in your client')
  expect(byMail).not.toContain('id="register"')
  const policies = '{"terms":{"version":"1","en":{"name":"<Rules>","url":"https://test.local/rules?a&b"}}}'
  const terms = (await open({ REGISTRATION_TERMS: policies })).text
  expect(terms).toContain('name="terms" required')
  expect(terms).toContain('href="https://test.local/rules?a&amp;b"')
  expect(terms).toContain('&lt;Rules&gt;')
})

test('whom to ask stands there where somebody is named', async () => {
  expect((await open()).text).not.toContain('Whom to ask')
  const page = await open({ SUPPORT_CONTACTS: '@admin:test.local me@test.local', SUPPORT_PAGE: 'https://help.test/"x' })
  expect(page.text).toContain('https://matrix.to/#/%40admin%3Atest.local')
  expect(page.text).toContain('mailto:me@test.local')
  expect(page.text).toContain('https://help.test/&quot;x')
  expectStrict(page)
})

test('who cannot be found by others is told so', async () => {
  expect((await open()).text).toContain('on: people here and on other servers can meet')
  expect((await open({ SERVER_NAME: 'localhost:8008' })).text).toContain(
    'off: other servers cannot find localhost:8008',
  )
})

test('a program that wants JSON gets JSON', async () => {
  const { text } = await open({}, { Accept: 'application/json' })
  expect(JSON.parse(text)).toMatchObject({
    server_name: 'test.local',
    base_url: 'http://test.local',
    registration: 'open',
    federation: true,
    server: { name: 'Hearth' },
  })
})

test('other paths stay what they were', async () => {
  for (const path of ['/index.html', '/favicon.ico', '/x', '//', '/_matrix', '/_matrix/client/v3/nowhere']) {
    const response = await exports.default.fetch(new Request(`http://test.local${path}`))
    expect([path, response.status]).toEqual([path, 404])
    expect(await response.json()).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
  }
  const posted = await exports.default.fetch(new Request('http://test.local/', { method: 'POST', body: 'password=x' }))
  expect(posted.status).toBe(405)
  expect(await posted.json()).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
  const head = await exports.default.fetch(new Request('http://test.local/', { method: 'HEAD' }))
  expect([head.status, await head.text()]).toEqual([200, ''])
  expect((await anonymous.get('/_matrix/client/versions')).status).toBe(200)
})

test.each<[string, Partial<Record<keyof Env, unknown>>, readonly string[]]>([
  [
    'as it was delivered',
    { SERVER_NAME: 'example.org', PUBLIC_URL: 'https://matrix.example.org' },
    ['SERVER_NAME is still example.org', 'never be changed', 'PUBLIC_URL is still', 'npm run deploy -- --server-name'],
  ],
  ['without a name', { SERVER_NAME: undefined }, ['SERVER_NAME is not set']],
  [
    'with a name that is none',
    { SERVER_NAME: 'two words<b>' },
    ['SERVER_NAME is not a Matrix server name', '&lt;b&gt;'],
  ],
  ['with a choice that is none', { REGISTRATION: 'maybe' }, ['REGISTRATION must be one of closed, token, open']],
  [
    'without bindings',
    { DB: undefined, MEDIA: undefined },
    ['The binding DB is missing', 'The binding MEDIA is missing'],
  ],
])('a Worker %s guides its owner', async (_how, changes, sentences) => {
  const page = await open(changes)
  expect(page.status).toBe(503)
  expect(page.headers.get('X-Request-Id')).toMatch(/^[\w-]{8,}$/)
  expect(page.text).toContain('Almost a homeserver')
  for (const sentence of sentences) expect(page.text).toContain(sentence)
  expect(page.text).not.toContain('<form')
  expect(page.text).not.toContain('<b>')
  expectStrict(page)
})

test('a Worker that was reached by HTTPS knows the address to set', async () => {
  const changed: Env = Object.assign({}, env, { SERVER_NAME: 'example.org', PUBLIC_URL: '' })
  const request = new Request('https://hearth.me.workers.dev/')
  const response = await createApp().fetch(request, changed, createExecutionContext())
  expect(await response.text()).toContain('--server-name YOUR-DOMAIN --public-url https://hearth.me.workers.dev')
})

test("a run on one's own machine may have the example's name", async () => {
  expect((await open({ SERVER_NAME: 'example.org', PUBLIC_URL: 'http://127.0.0.1:8008' })).status).toBe(200)
})

test('a database that does not answer is told of, and not what it said', async () => {
  const broken = {
    prepare: () => {
      throw new Error('secret detail')
    },
  }
  const page = await open({ DB: broken })
  expect(page.status).toBe(503)
  expect(page.text).toContain('The database does not answer')
  expect(page.text).not.toContain('secret detail')
})
