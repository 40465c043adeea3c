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

const post = async (path: string, body: object) => {
  const answer = await fetch(`${base}/_matrix/client/v3${path}`, { method: 'POST', body: JSON.stringify(body) })
  return { status: answer.status, body: await answer.json() }
}

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
  expect(await post('/register', account)).toMatchObject({ status: 200, body: { user_id: '@alice:fox.example' } })
})
