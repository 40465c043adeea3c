/**
 * A person's account with the client library that Element is made of: from guest to user, with an address that brings a
 * forgotten password back, until the account ends.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, type MatrixClient, MatrixError } from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const secret = 'client-secret'
const email = 'alice@example.org'
let baseUrl: string
let server: BackgroundServer
let alice: MatrixClient

beforeAll(async () => {
  // The library tells of each request.
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  const port = await freePort()
  baseUrl = `http://127.0.0.1:${port}`
  const options = [
    `--port=${port}`,
    `--data=${join(folder, 'data')}`,
    '--server-name=story.example',
    '--rate-limits=off',
  ]
  server = await startInBackground('scripts/serve.ts', options)
}, 60_000)
afterAll(async () => {
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

/** Opens the link of the newest letter, of so many, and presses the button. */
async function confirm(letters: number): Promise<void> {
  const box = join(folder, 'data', 'mailbox')
  const file = await vi.waitFor(() => {
    const files = readdirSync(box).toSorted()
    expect(files).toHaveLength(letters)
    return files.at(-1) ?? ''
  })
  const link = new URL(/^http\S+$/m.exec(readFileSync(join(box, file), 'utf8'))?.[0] ?? '')
  const answer = await fetch(link.origin + link.pathname, { method: 'POST', body: link.searchParams })
  expect(answer.status).toBe(200)
}

type Identifier = Parameters<MatrixClient['loginRequest']>[0]['identifier'] & object
const signIn = (identifier: Identifier, password: string) =>
  createClient({ baseUrl }).loginRequest({ type: 'm.login.password', identifier, password })

/** What an attempt was refused with. */
const refusal = (attempt: Promise<unknown>) =>
  attempt.then(
    () => undefined,
    (error: unknown) => (error instanceof MatrixError ? error : undefined),
  )

test('a guest becomes a user', async () => {
  const anybody = createClient({ baseUrl })
  const { user_id: userId, access_token: accessToken } = await anybody.registerGuest({})
  const guest = createClient({ baseUrl, userId: userId ?? '', accessToken: accessToken ?? '' })
  expect(await guest.whoami()).toMatchObject({ user_id: userId, is_guest: true })
  const made = await anybody.registerRequest({
    username: userId?.slice(1).split(':')[0] ?? '',
    password: 'first password',
    guest_access_token: accessToken ?? '',
    auth: { type: 'm.login.dummy' },
  })
  expect(made.user_id).toBe(userId)
  alice = createClient({ baseUrl, userId: made.user_id, accessToken: made.access_token ?? '' })
  expect(await alice.whoami()).toMatchObject({ is_guest: false })
})

test('an address is added to the account, and signs in', async () => {
  const { sid } = await alice.requestAdd3pidEmailToken(email, secret, 1)
  await confirm(1)
  const refused = await refusal(alice.addThreePidOnly({ client_secret: secret, sid }))
  expect(refused?.data).toMatchObject({ flows: [{ stages: ['m.login.password'] }] })
  const auth = {
    type: 'm.login.password',
    session: String(refused?.data.session),
    identifier: { type: 'm.id.user', user: alice.getUserId() },
    password: 'first password',
  }
  await alice.addThreePidOnly({ client_secret: secret, sid, auth })
  expect((await alice.getThreePids()).threepids).toMatchObject([{ medium: 'email', address: email }])
  const login = await signIn({ type: 'm.id.thirdparty', medium: 'email', address: email }, 'first password')
  expect(login.user_id).toBe(alice.getUserId())
})

test('a forgotten password is set anew by mail', async () => {
  const anybody = createClient({ baseUrl })
  const { sid } = await anybody.requestPasswordEmailToken(email, secret, 1)
  const auth = { type: 'm.login.email.identity', threepid_creds: { sid, client_secret: secret } }
  expect((await refusal(anybody.setPassword(auth, 'second password')))?.errcode).toBe('M_UNAUTHORIZED')
  await confirm(2)
  await anybody.setPassword(auth, 'second password')
  const identifier = { type: 'm.id.user', user: alice.getUserId() }
  expect((await refusal(signIn(identifier, 'first password')))?.errcode).toBe('M_FORBIDDEN')
  const { access_token: accessToken } = await signIn(identifier, 'second password')
  alice = createClient({ baseUrl, userId: alice.getUserId() ?? '', accessToken })
})

test('the address is removed, and the account ended', async () => {
  await alice.deleteThreePid('email', email)
  expect((await alice.getThreePids()).threepids).toEqual([])
  const auth = {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: alice.getUserId() },
    password: 'second password',
  }
  expect(await alice.deactivateAccount(auth, true)).toEqual({ id_server_unbind_result: 'success' })
  expect((await refusal(alice.whoami()))?.errcode).toBe('M_UNKNOWN_TOKEN')
})
