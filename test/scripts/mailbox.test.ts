/** The mail of a server on this machine lies in its data folder, and a browser gets from there to a new password. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const box = join(folder, 'data', 'mailbox')
let server: BackgroundServer
let base: string

beforeAll(async () => {
  const port = await freePort()
  base = `http://127.0.0.1:${port}`
  const options = ['--server-name=fox.example', `--data=${join(folder, 'data')}`, '--registration-email=required']
  server = await startInBackground('scripts/serve.ts', options, { env: { CS_PORT: String(port) } })
}, 60_000)
afterAll(async () => {
  await server.end('SIGKILL')
  rmSync(folder, { recursive: true })
})

let token = ''
const post = async (path: string, body: object) => {
  const url = base + (path.startsWith('/_') ? path : `/_matrix/client/v3${path}`)
  const headers = token === '' ? {} : { Authorization: `Bearer ${token}` }
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers })
  const answered: unknown = await answer.json()
  return { status: answer.status, body: fieldsOf(answered) }
}
const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {}

/** The newest letter, once there are so many. */
async function letter(count: number): Promise<string> {
  const files = await vi.waitFor(() => {
    const found = readdirSync(box).toSorted()
    expect(found).toHaveLength(count)
    return found
  })
  const file = join(box, files.at(-1) ?? '')
  expect(statSync(file).mode & 0o077).toBe(0)
  return readFileSync(file, 'utf8')
}

test('an address is confirmed from the mailbox, and registers an account', { timeout: 60_000 }, async () => {
  const client_secret = 'secret'
  const wanted = { client_secret, email: 'alice@example.org', send_attempt: 1 }
  const { status, body } = await post('/register/email/requestToken', wanted)
  expect(status).toBe(200)
  const text = await letter(1)
  expect(text).toMatch(/^From: hearth@fox\.example\nTo: alice@example\.org\nSubject: .*fox\.example\n\n/)
  const link = new URL(/^http\S+$/m.exec(text)?.[0] ?? '')
  expect(link.origin).toBe(base)
  const page = await (await fetch(link)).text()
  expect(page).toContain('alice@example.org')
  const confirmed = await fetch(link.origin + link.pathname, { method: 'POST', body: link.searchParams })
  expect(confirmed.status).toBe(200)
  const threepid_creds = { ...body, client_secret }
  const account = {
    username: 'alice',
    password: 'a password',
    auth: { type: 'm.login.email.identity', threepid_creds },
  }
  const made = await post('/register', account)
  expect(made).toMatchObject({ status: 200, body: { user_id: '@alice:fox.example' } })
  token = String(made.body['access_token'])
})

test('letters about unread messages lie there too, and end by the one click of a mail program', async () => {
  const names = { app_display_name: 'Email Notifications', device_display_name: 'alice@example.org', lang: 'en' }
  const pusher = { kind: 'email', app_id: 'm.email', pushkey: 'alice@example.org', ...names, data: {} }
  expect((await post('/pushers/set', pusher)).status).toBe(200)
  const tested = () => post('/_hearth/admin/users/@alice:fox.example/test_push', {})
  expect((await tested()).body).toMatchObject({ pushers: [{ kind: 'email', result: 'taken' }] })
  const text = await letter(2)
  expect(text).toContain('\nSubject: 1 unread message: A test\n')
  const link = /^List-Unsubscribe: <(.+)>$/m.exec(text)?.[1] ?? ''
  expect(new URL(link).origin).toBe(base)
  const clicked = await fetch(link, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) })
  expect(clicked.status).toBe(200)
  expect((await tested()).body).toEqual({ pushers: [] })
})
