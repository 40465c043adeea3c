/**
 * The doctor against set-ups as people have them: one that is well, and the usual ways to get it wrong, each as a small
 * HTTPS server of its own; and against a server of ours.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { certificateFor, type Issued, makeCertificates } from './certificates.ts'
import { delegationOf } from '../../scripts/delegation/delegation.ts'
import { examine } from '../../scripts/doctor/report.ts'
import { realSurroundings } from '../../scripts/doctor/surroundings.ts'
import { registerWithSecret } from '../../scripts/register/register-account.ts'
import { freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { textIn } from '../../worker/doctor/answers.ts'
import type { Surroundings } from '../../worker/doctor/surroundings.ts'
import type { JsonObject } from '../../worker/protocol/json/json.ts'
import { encodeBase64Unpadded } from '../../worker/protocol/signing/base64.ts'
import { signingKeyOf } from '../../worker/protocol/signing/keys.ts'
import { nobleCrypto } from '../../worker/protocol/signing/noble-crypto.ts'
import { signJson } from '../../worker/protocol/signing/sign-json.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const ca = join(folder, 'ca.pem')
const { authority } = makeCertificates()
beforeAll(() => writeFileSync(ca, authority.cert))
afterAll(() => rmSync(folder, { recursive: true }))

interface Answer {
  readonly status?: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}
/** Answers by `host path`; absent: 404. */
type Site = Record<string, Answer | undefined>

const cors = { 'Access-Control-Allow-Origin': '*' }
const key = signingKeyOf('ed25519:a1b2', new Uint8Array(32).fill(7))
const hour = 3_600_000

function keysOf(serverName: string, validUntil = Date.now() + hour): JsonObject {
  const verify = { [key.keyId]: { key: encodeBase64Unpadded(key.publicKey) } }
  const answer = { server_name: serverName, verify_keys: verify, old_verify_keys: {}, valid_until_ts: validUntil }
  return signJson(answer, serverName, key, nobleCrypto)
}

/** fox.example, served by matrix.fox.example. */
function wellSite(change: Site = {}): Site {
  const files = delegationOf('fox.example', 'https://matrix.fox.example').files.map(
    ({ url, body, headers }): [string, Answer] => {
      const { hostname, pathname } = new URL(url)
      return [`${hostname} ${pathname}`, { body: JSON.parse(body), headers }]
    },
  )
  const at = (path: string) => `matrix.fox.example ${path}`
  return {
    ...Object.fromEntries(files),
    [at('/_matrix/client/versions')]: { body: { versions: ['v1.1', 'v1.18'] }, headers: cors },
    [at('/_matrix/client/v3/login')]: { body: { flows: [{ type: 'm.login.password' }] }, headers: cors },
    [at('/_matrix/federation/v1/version')]: { body: { server: { name: 'Hearth', version: '1' } } },
    [at('/_matrix/key/v2/server')]: { body: keysOf('fox.example') },
    ...change,
  }
}

const everyName = ['fox.example', 'matrix.fox.example']

/** What the doctor finds at this site, but for what is good. */
async function findings(
  site: Site,
  {
    issued = certificateFor(everyName, authority),
    change = {},
    certificates = {},
  }: { issued?: Issued; change?: Partial<Surroundings>; certificates?: Record<string, Issued> } = {},
) {
  const server = createServer(
    {
      ...issued,
      SNICallback: (name, done) => done(null, createSecureContext({ ...(certificates[name] ?? issued) })),
    },
    (request, response) => {
      const answer = site[`${request.headers.host?.replace(/:.*$/, '')} ${request.url}`]
      const { status = 200, body, headers } = answer ?? { status: 404, body: {} }
      response.writeHead(status, headers)
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? portOf(address) : 0
  const connectTo = new Map(everyName.map((name) => [`${name}:443`, `127.0.0.1:${port}`]))
  // Nobody answers on 8448, as at Cloudflare.
  for (const name of everyName) connectTo.set(`${name}:8448`, `127.0.0.1:${await freePort()}`)
  const world = { ...realSurroundings({ ca, connectTo }), srv: () => Promise.resolve(undefined), ...change }
  try {
    const all = await examine('fox.example', world)
    // Every complaint has a next step.
    for (const { state, next } of all) expect(next === undefined).toBe(state === 'good')
    return all
  } finally {
    server.close()
  }
}

const portOf = ({ port }: AddressInfo) => port
const wrong = async (...args: Parameters<typeof findings>) =>
  (await findings(...args))
    .filter(({ state }) => state !== 'good')
    .map(({ state, about, what }) => `${state} ${about}: ${what}`)

test('a server that is well', async () => {
  const all = await findings(wellSite())
  expect(all.map(({ state }) => state)).not.toContain('bad')
  expect(all.map(({ about }) => about)).toEqual([
    'Server well-known',
    'Discovery',
    'Federation API',
    'Certificate',
    'Clock',
    'Signing keys',
    'Client well-known',
    'Client API',
    'Sign-in',
  ])
  expect(all.find(({ about }) => about === 'Discovery')?.what).toBe(
    'other servers connect to matrix.fox.example:443, ask for matrix.fox.example:443, expect a certificate for matrix.fox.example',
  )
})

const serverFile = 'fox.example /.well-known/matrix/server'
const clientFile = 'fox.example /.well-known/matrix/client'
const keys = 'matrix.fox.example /_matrix/key/v2/server'
const versions = 'matrix.fox.example /_matrix/client/versions'

describe('what people get wrong', () => {
  test.each<[what: string, change: Site, ...complaints: string[]]>([
    [
      'no server file',
      { [serverFile]: undefined },
      'doubt Server well-known: https://fox.example/.well-known/matrix/server answers 404',
      'bad Federation API: https://fox.example:8448 does not answer',
    ],
    [
      'a page in place of the file',
      { [serverFile]: { body: '<html>' } },
      'doubt Server well-known',
      'bad Federation API',
    ],
    [
      'a URL as m.server',
      { [serverFile]: { body: { 'm.server': 'https://matrix.fox.example' } } },
      'bad Server well-known: m.server in https://fox.example/.well-known/matrix/server is no server name (no https:// before it)',
      'bad Federation API',
    ],
    [
      'no port in m.server',
      { [serverFile]: { body: { 'm.server': 'matrix.fox.example' } } },
      'doubt Server well-known: m.server has no port, which means 8448',
      'bad Federation API',
    ],
    [
      'no client file',
      { [clientFile]: undefined },
      'doubt Client well-known: https://fox.example/.well-known/matrix/client answers 404: people must type',
    ],
    [
      'a client file without CORS',
      { [clientFile]: { body: { 'm.homeserver': { base_url: 'https://matrix.fox.example' } } } },
      'bad CORS: clients in a browser may not read https://fox.example/.well-known/matrix/client',
    ],
    [
      'a client file with nonsense',
      { [clientFile]: { body: { 'm.homeserver': 'matrix.fox.example' }, headers: cors } },
      'bad Client well-known: https://fox.example/.well-known/matrix/client holds no m.homeserver.base_url',
    ],
    [
      'a base URL of another thing',
      { [versions]: { body: {}, headers: cors } },
      'bad Client API: https://matrix.fox.example/_matrix/client/versions names no versions',
    ],
    [
      'an API without CORS',
      { [versions]: { body: { versions: ['v1.18'] } } },
      'bad CORS: clients in a browser may not read https://matrix.fox.example/_matrix/client/versions',
    ],
    [
      'an API that fails',
      { [versions]: { status: 500, body: {} } },
      'bad Client API: https://matrix.fox.example/_matrix/client/versions answers 500',
    ],
    [
      'keys of another server',
      { [keys]: { body: keysOf('owl.example') } },
      'bad Signing keys: the server there says that it is "owl.example", not fox.example',
    ],
    [
      'keys that somebody changed',
      { [keys]: { body: { ...keysOf('fox.example'), valid_until_ts: Date.now() + 2 * hour } } },
      'bad Signing keys: the answer is not signed by the key that it names',
    ],
    [
      'keys of yesterday',
      { [keys]: { body: keysOf('fox.example', Date.now() - hour) } },
      'bad Signing keys: every key has expired',
    ],
    ['no keys', { [keys]: undefined }, 'bad Signing keys: /_matrix/key/v2/server answers 404'],
  ])('%s', async (_what, change, ...complaints) => {
    const found = await wrong(wellSite(change))
    expect(found).toEqual(complaints.map((complaint) => expect.stringContaining(complaint)))
  })

  test('a certificate for the website alone', async () => {
    const certificates = { 'matrix.fox.example': certificateFor(['fox.example'], authority) }
    expect(await wrong(wellSite(), { certificates })).toEqual([
      'bad Certificate: the certificate is not for matrix.fox.example',
      'bad Certificate: the certificate is not for matrix.fox.example',
    ])
  })

  test('a certificate that has expired, and one that nobody knows', async () => {
    const old = { 'matrix.fox.example': certificateFor(everyName, authority, -1) }
    expect((await wrong(wellSite(), { certificates: old }))[0]).toContain(
      'certificate for matrix.fox.example has expired',
    )
    const own = { 'matrix.fox.example': certificateFor(everyName, makeCertificates().authority) }
    expect((await wrong(wellSite(), { certificates: own }))[0]).toContain('by an authority that nobody knows')
  })

  test('a clock that goes wrong', async () => {
    // The keys are judged by this machine's clock as well: good for longer than it is off.
    const site = wellSite({ [keys]: { body: keysOf('fox.example', Date.now() + 9 * hour) } })
    const found = await wrong(site, { change: { now: () => Date.now() + hour } })
    expect(found).toEqual([expect.stringMatching(/^bad Clock: the server and this machine are 36\d\d s apart$/)])
  })

  test('a record of an earlier server', async () => {
    const srv = (name: string) =>
      Promise.resolve(name === '_matrix._tcp.fox.example' ? { target: 'old.fox.example', port: 8448 } : undefined)
    expect(await wrong(wellSite(), { change: { srv } })).toEqual([
      'doubt SRV: _matrix._tcp.fox.example leads elsewhere: old.fox.example:8448',
    ])
  })

  test('nobody there at all', async () => {
    const ask = () => Promise.resolve({ ok: false, message: 'getaddrinfo ENOTFOUND fox.example' } as const)
    const found = await wrong({}, { change: { ask } })
    expect(found).toHaveLength(3)
    for (const line of found) expect(line).toContain('ENOTFOUND')
    expect(await examine('not a name', realSurroundings({}))).toMatchObject([{ state: 'bad', about: 'Name' }])
  })
})

test('a server of ours is well, and tells both files to everybody', { timeout: 60_000 }, async () => {
  const issued = certificateFor([...everyName, 'owl.example'], authority)
  writeFileSync(join(folder, 'cert.pem'), issued.cert)
  writeFileSync(join(folder, 'key.pem'), issued.key)
  const [port, federationPort] = [await freePort(), await freePort()]
  const server = await startInBackground('scripts/serve.ts', [
    '--server-name=fox.example',
    '--public-url=https://matrix.fox.example',
    `--port=${port}`,
    `--federation-port=${federationPort}`,
    `--tls-cert=${folder}/cert.pem`,
    `--tls-key=${folder}/key.pem`,
    `--data=${join(folder, 'data')}`,
  ])
  try {
    for (const file of ['server', 'client']) {
      const answer = await fetch(`http://127.0.0.1:${port}/.well-known/matrix/${file}`)
      expect(answer.headers.get('Access-Control-Allow-Origin')).toBe('*')
      const wanted = delegationOf('fox.example', 'https://matrix.fox.example').files.find(({ url }) =>
        url.endsWith(file),
      )
      expect(await answer.json()).toEqual(JSON.parse(wanted?.body ?? ''))
    }
    const to = everyName.map((name) => `${name}:443=127.0.0.1:${federationPort}`).join(',')
    const seen = await doctor(['fox.example', `--ca=${ca}`, `--connect-to=${to}`])
    expect(seen).toMatchObject({ code: 0, printed: expect.stringContaining('fox.example is well.') })
    expect(seen.printed).not.toContain('R2')
    // Inside: an administrator's token.
    const secret = readFileSync(join(folder, 'data', 'registration-shared-secret'), 'utf8').trim()
    const account = { username: 'fox', password: 'a long password', admin: true }
    const base = `http://127.0.0.1:${port}`
    expect((await registerWithSecret(base, secret, account)).ok).toBe(true)
    const token = await tokenOf(base, 'fox', account.password)
    const inside = await doctor(['fox.example', `--ca=${ca}`, `--connect-to=${to}`, `--token=${token}`])
    expect(inside.code).toBe(0)
    for (const about of ['DB (D1)', 'MEDIA (R2)', 'ROOM', 'USER_SYNC', 'FEDERATION_SENDER', 'PASSWORD']) {
      expect(inside.printed).toContain(`✓ ${about}: answers`)
    }
    expect(inside.printed).toContain('✓ Mail: is set up')
    const refused = await doctor(['fox.example', `--ca=${ca}`, `--connect-to=${to}`, '--token=wrong'])
    expect(refused).toMatchObject({ code: 1, printed: expect.stringContaining('✗ Inside: the server answers 401') })
    // The same server under a name that is not its own.
    const foreign = to.replaceAll('fox.example:443', 'owl.example:443')
    const other = await doctor(['owl.example', `--ca=${ca}`, `--connect-to=${foreign},${to}`])
    expect(other.code).toBe(1)
    expect(other.printed).toContain('says that it is "fox.example", not owl.example')
    expect((await doctor([])).code).toBe(2)
  } finally {
    await server.end('SIGTERM')
  }
})

async function tokenOf(base: string, user: string, password: string): Promise<string> {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password }
  const answer = await fetch(`${base}/_matrix/client/v3/login`, { method: 'POST', body: JSON.stringify(body) })
  return textIn(await answer.json(), 'access_token')
}

function doctor(args: string[]): Promise<{ code: unknown; printed: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/doctor.ts', ...args], (error, output, errors) =>
      resolve({ code: error?.code ?? 0, printed: output + errors }),
    )
  })
}
