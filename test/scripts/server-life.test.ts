/**
 * One server's life on one machine: started, stopped, moved, killed in the middle of work, started again.
 *
 * The tests go on where the one before left off, as the life of a server does.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type Client, createRoom, fieldOf, listIn, newClient, sendMessage, signIn } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { makeCertificates } from './certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const { authority, server: certificate } = makeCertificates()
let data = join(folder, 'data')
let port: number
let federationPort: number
let server: BackgroundServer
let alice: Client
let roomId: string

beforeAll(async () => {
  port = await freePort()
  federationPort = await freePort()
  for (const [name, text] of Object.entries({ ca: authority.cert, cert: certificate.cert, key: certificate.key })) {
    writeFileSync(join(folder, `${name}.pem`), text)
  }
})
afterAll(async () => {
  await server.end('SIGKILL')
  rmSync(folder, { recursive: true })
})

function start(...further: string[]): Promise<BackgroundServer> {
  const options = ['--server-name=fox.example', `--data=${data}`, '--rate-limits=off', ...further]
  return startInBackground('scripts/serve.ts', options, { env: { CS_PORT: String(port) } })
}

const base = () => `http://127.0.0.1:${port}`

test('the first start makes everything, and other servers find us by TLS', { timeout: 60_000 }, async () => {
  const tls = [`--tls-cert=${folder}/cert.pem`, `--tls-key=${folder}/key.pem`]
  server = await start(`--federation-port=${federationPort}`, ...tls)
  expect(server.output()).toContain(`Hearth is ready: ${base()} is the homeserver of fox.example`)
  alice = await newClient(base(), 'alice')
  expect(alice.userId).toBe('@alice:fox.example')
  roomId = await createRoom(alice)
  await sendMessage(alice, roomId, 'before the move')
  const viaTls = await new Promise<number | undefined>((resolve, reject) => {
    const url = `https://localhost:${federationPort}/_matrix/client/versions`
    get(url, { ca: authority.cert }, (response) => resolve(response.resume().statusCode)).on('error', reject)
  })
  expect(viaTls).toBe(200)
})

test('npm run register makes accounts, administrators for those who know the secret', { timeout: 60_000 }, async () => {
  const secret = readFileSync(join(data, 'registration-shared-secret'), 'utf8').trim()
  const common = [`--url=${base()}`, '--password=a long password']
  expect(await register(['@bob:fox.example', '--admin', `--secret=${secret}`, ...common])).toEqual({
    code: 0,
    printed: `@bob:fox.example is there, as administrator: sign in at ${base()}\n`,
  })
  expect(await register(['carol', ...common])).toMatchObject({
    code: 0,
    printed: expect.stringContaining('@carol:fox.example'),
  })
  expect(await register(['carol', ...common])).toMatchObject({
    code: 2,
    printed: expect.stringContaining('M_USER_IN_USE'),
  })
  expect(await register(['dave', '--admin', '--secret=wrong', ...common])).toMatchObject({ code: 2 })
})

test('SIGTERM ends it in order', async () => {
  expect(await server.end('SIGTERM')).toBe(0)
  expect(await isListening(port)).toBe(false)
  expect(await isListening(federationPort)).toBe(false)
  expect(readdirSync(data)).not.toContain('lock')
})

test('the data folder can be moved: it holds no paths', { timeout: 60_000 }, async () => {
  const moved = join(folder, 'elsewhere')
  renameSync(data, moved)
  data = moved
  server = await start()
  alice = await signIn(base(), 'alice')
  expect(await messages()).toEqual(['before the move'])
})

test('a second server on the same folder is refused', { timeout: 60_000 }, async () => {
  const elsewhere = `--port=${await freePort()}`
  await expect(start(elsewhere)).rejects.toThrow(/ended with 2: hearth: the data folder .* is in use by the server/)
})

test('killed in the middle of work, it leaves nothing running', { timeout: 60_000 }, async () => {
  const acknowledged: string[] = []
  const senders = Array.from({ length: 8 }, async (_, sender) => {
    for (let n = 0; ; n++) {
      await sendMessage(alice, roomId, `${sender} says ${n}`)
      acknowledged.push(`${sender} says ${n}`)
      // The last one sends nothing more: the server is killed while the others still wait for their answers.
      if (acknowledged.length === 60) void server.end('SIGKILL')
    }
  })
  await Promise.allSettled(senders)
  expect(await server.end('SIGKILL')).toBeNull()
  await expect.poll(() => isListening(port), { timeout: 5000 }).toBe(false)
  expect(readFileSync(join(data, 'lock'), 'utf8')).toContain(String(server.pid))

  server = await start(`--ca=${folder}/ca.pem`, '--allow-private-addresses=on')
  alice = await signIn(base(), 'alice')
  const kept = await messages()
  expect(acknowledged.length).toBeGreaterThanOrEqual(60)
  expect(acknowledged.filter((message) => !kept.includes(message))).toEqual([])
  expect(kept).toContain('before the move')
})

test('it trusts the authority it is told to, when it asks other servers', { timeout: 60_000 }, async () => {
  const asked: (string | undefined)[] = []
  const other = createServer(certificate, (request, response) => {
    asked.push(request.url)
    response.writeHead(404).end()
  })
  const otherPort = await freePort()
  await new Promise<void>((listening) => other.listen(otherPort, '127.0.0.1', listening))
  // Whoever claims to be a server is asked for its keys.
  const claim = `X-Matrix origin="127.0.0.1:${otherPort}",key="ed25519:1",sig="c2ln",destination="fox.example"`
  const answer = await fetch(`${base()}/_matrix/federation/v1/send/1`, {
    method: 'PUT',
    headers: { Authorization: claim },
    body: '{}',
  })
  other.close()
  expect(answer.status).toBe(401)
  expect(asked).toContain('/_matrix/key/v2/server')
})

test('Ctrl-C ends it too', async () => {
  expect(await server.end('SIGINT')).toBe(0)
  expect(await isListening(port)).toBe(false)
})

function register(args: string[]): Promise<{ code: unknown; printed: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/register.ts', ...args], (error, output, errors) =>
      resolve({ code: error?.code ?? 0, printed: output + errors }),
    )
  })
}

/** The bodies of the room's messages. */
async function messages(): Promise<string[]> {
  const found: string[] = []
  for (let from = ''; ;) {
    const page = (await alice.call('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=100${from}`)).json
    const bodies = listIn(page, 'chunk').map((event) => fieldOf(fieldOf(event, 'content'), 'body'))
    found.push(...bodies.filter((body) => typeof body === 'string'))
    const end = fieldOf(page, 'end')
    if (typeof end !== 'string') return found
    from = `&from=${encodeURIComponent(end)}`
  }
}

function isListening(where: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(where, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
