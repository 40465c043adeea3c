/** The secret of a backup is in the account for the time of the work, and gone afterwards, whatever became of the work. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { withDeployed } from '../../scripts/backup/one-time-secret.ts'
import { type Account, emptyAccount, recordedWrangler } from './recorded-account.ts'

let account: Account
let recorded: ReturnType<typeof recordedWrangler>
let said: string[]
let asked = 0
let url: string
/** Answers as the deployed Worker would: with a new secret some moments after it was put. */
const worker = createServer(({ headers }, response) => {
  asked += 1
  const isKnown = asked > 2 && headers.authorization === `Bearer ${recorded.inputs.at(-1)}`
  const isThere = account.worker?.secrets.includes('BACKUP_SECRET') ?? false
  response.writeHead(isKnown && isThere ? 200 : 404, { 'Content-Type': 'application/json' })
  response.end(isKnown && isThere ? '{"server_name":"fox.example"}' : '{"errcode":"M_UNRECOGNIZED"}')
})

beforeAll(async () => {
  worker.listen(0, '127.0.0.1')
  await once(worker, 'listening')
  const address = worker.address()
  url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
})
afterAll(() => void worker.close())
beforeEach(() => {
  const vars = { SERVER_NAME: 'fox.example', PUBLIC_URL: `${url}/` }
  account = { ...emptyAccount(), worker: { vars, classes: ['RoomDO', 'UserSyncDO'], secrets: ['SIGNING_KEY'] } }
  recorded = recordedWrangler(account, () => vars)
  said = []
  asked = 0
})

const asking = { worker: 'hearth', purpose: 'backup', say: (line: string) => void said.push(line), wait: 1 } as const

test('put, waited for, used, taken away', async () => {
  const answer = await withDeployed(recorded.wrangler, asking, async (api) => {
    expect(account.worker?.secrets).toContain('BACKUP_SECRET')
    return api.json('backup')
  })
  expect(answer).toEqual({ server_name: 'fox.example' })
  expect(account.worker?.secrets).toEqual(['SIGNING_KEY'])
  // It stands in no list of processes, and ends by itself.
  expect(recorded.ran.join('\n')).not.toContain(recorded.inputs[0])
  expect(recorded.inputs[0]).toMatch(/^backup\.\d{13}\.[\w-]{43}$/)
  expect(Number(recorded.inputs[0]?.split('.')[1]) - Date.now()).toBeLessThanOrEqual(12 * 3_600_000)
  expect(said).toEqual([])
})

test('taken away also where the work fails', async () => {
  const failing = withDeployed(recorded.wrangler, asking, () => Promise.reject(new Error('cut off')))
  await expect(failing).rejects.toThrow('cut off')
  expect(account.worker?.secrets).toEqual(['SIGNING_KEY'])
})

test('where it cannot be taken away, it is said how', async () => {
  account.fault = { command: 'secret delete', words: 'fetch failed' }
  await withDeployed(recorded.wrangler, asking, () => Promise.resolve())
  expect(said.join('\n')).toMatch(
    /The secret BACKUP_SECRET is still there, and void in 12 hours: .*\n {2}→ npx wrangler secret delete BACKUP_SECRET --name hearth/,
  )
})

test.each([
  [
    'nobody is logged in',
    (to: Account) => void (to.loggedIn = false),
    /not logged in to Cloudflare\n {2}→ npx wrangler login/,
  ],
  [
    'there is no such Worker',
    (to: Account) => void delete to.worker,
    /has no homeserver hearth\n {2}→ give its name with --worker/,
  ],
  [
    'it is another Worker',
    (to: Account) => void (to.worker = { vars: {}, classes: ['Shop'], secrets: [] }),
    /no homeserver hearth/,
  ],
  [
    'it has no address',
    (to: Account) => void (to.worker = { vars: {}, classes: ['RoomDO', 'UserSyncDO'], secrets: [] }),
    /has no PUBLIC_URL\n {2}→ npm run deploy sets it/,
  ],
  [
    'this login may not put a secret',
    (to: Account) => void (to.fault = { command: 'secret put', words: 'Authentication error [code: 10000]' }),
    /this login may not do that/,
  ],
  [
    'there is no network',
    (to: Account) => void (to.fault = { command: 'whoami', words: 'fetch failed' }),
    /Cloudflare's API cannot be reached/,
  ],
])('%s: one sentence, and nothing is left', async (_, change, sentence) => {
  change(account)
  const secrets = [...(account.worker?.secrets ?? [])]
  await expect(withDeployed(recorded.wrangler, asking, () => Promise.resolve())).rejects.toThrow(sentence)
  expect(account.worker?.secrets ?? []).toEqual(secrets)
})

test('a Worker that never learns of it', async () => {
  asked = -1000
  const failing = withDeployed(recorded.wrangler, asking, () => Promise.resolve())
  await expect(failing).rejects.toThrow(
    /does not know this program’s backups\n {2}→ npm run deploy brings it up to date/,
  )
  expect(account.worker?.secrets).toEqual(['SIGNING_KEY'])
})
