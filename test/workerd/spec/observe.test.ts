/** Every answer has a name, and the log says what came of a request without saying what was in it. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, test, vi } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import type { Env } from '../../../worker/env.ts'
import { operation, type Operation } from '../../../worker/operation.ts'
import { operations } from '../../../worker/operations.ts'
import { stackOf } from '../../../worker/observe/request-log.ts'
import { anonymous, registerUser, send } from '../client.ts'

afterEach(() => vi.restoreAllMocks())

const generated = /^[0-9a-f]{8}-[0-9a-f-]{27}$/

test('every answer has a request ID: of success, of refusal, of paths that are not there, of preflights', async () => {
  const answers = [
    await anonymous.get('/_matrix/client/versions'),
    await anonymous.get('/account/whoami'),
    await anonymous.get('/_matrix/nowhere'),
    await send('OPTIONS', '/sync'),
  ]
  const ids = answers.map(({ headers }) => headers.get('X-Request-Id') ?? '')
  for (const id of ids) expect(id).toMatch(generated)
  expect(new Set(ids).size).toBe(4)
})

test.each([
  ['trace-0123456789', true],
  ['a5f1e0d2-1a2b-4c3d-9e8f-001122334455', true],
  ['short', false],
  ['with spaces in it', false],
  ['x'.repeat(129), false],
  ['"quoted-in-the-log"', false],
])('an ID that comes with the request, %j, is kept: %s', async (id, isKept) => {
  const answer = await send('GET', '/_matrix/client/versions', undefined, { 'X-Request-Id': id })
  expect(answer.headers.get('X-Request-Id') === id).toBe(isKept)
})

test('the line of a request says what was asked and what came of it, and holds nothing of what was in it', async () => {
  const alice = await registerUser('observed')
  const lines = vi.spyOn(console, 'info').mockReturnValue()
  const talkative = { ...env, LOG_LEVEL: 'info' }
  const by = { Authorization: `Bearer ${alice.accessToken}` }
  const name = JSON.stringify({ name: 'a name nobody may read' })
  const made = await ask(talkative, '/_matrix/client/v3/createRoom', by, { method: 'POST', body: name }, operations)
  const { room_id: roomId } = await made.json<{ room_id: string }>()
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/secret-transaction`
  const message = JSON.stringify({ msgtype: 'm.text', body: 'a message nobody may read' })
  const sent = await ask(talkative, path, by, { method: 'PUT', body: message }, operations)
  const logged = lines.mock.calls.map(([line]) => String(line))
  expect(logged.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ level: 'info', operation: 'createRoom', method: 'POST', status: 200 }),
    {
      level: 'info',
      event: 'request',
      request_id: sent.headers.get('X-Request-Id'),
      operation: 'sendMessage',
      method: 'PUT',
      status: 200,
      ms: expect.any(Number),
    },
  ])
  for (const secret of ['nobody may read', alice.accessToken, 'observed', 'secret-transaction', roomId]) {
    expect(logged.join('\n')).not.toContain(secret)
  }
})

const broken = operation('GET /broken', { id: 'getBroken', auth: 'none' }, () => {
  throw new Error('Failed query: insert into users\nparams: @someone:test.local,hash-of-a-password')
})

async function ask(
  bindings: Env,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  more: RequestInit = {},
  list: readonly Operation[] = [broken],
): Promise<Response> {
  const context = createExecutionContext()
  const request = new Request(`http://test.local${path}`, { ...more, headers })
  const answer = await createApp(list).fetch(request, bindings, context)
  await waitOnExecutionContext(context)
  return answer
}

test('a bug is logged with its stack under the name of the request, and without the values of a query', async () => {
  const lines = vi.spyOn(console, 'error').mockReturnValue()
  vi.spyOn(console, 'info').mockReturnValue()
  const answer = await ask(env, '/broken', { 'X-Request-Id': 'the-broken-request' })
  expect(answer.status).toBe(500)
  expect(await answer.text()).not.toContain('insert')
  const line = String(lines.mock.calls[0]?.[0])
  expect(JSON.parse(line)).toMatchObject({ level: 'error', request_id: 'the-broken-request', operation: 'getBroken' })
  expect(line).toContain('insert into users')
  expect(line).toContain(' at ')
  expect(line).not.toContain('hash-of-a-password')
})

test('what caused an error is told, what was thrown that is none is not', () => {
  const cause = new Error('the cause\nparams: a secret')
  const told = stackOf(new Error('the error', { cause }))
  expect(told).toContain('the error')
  expect(told).toContain('caused by Error: the cause')
  expect(told).not.toContain('a secret')
  expect(stackOf('a secret')).toBe('string')
})

test('a log that wants warnings alone gets no line of a request', async () => {
  const lines = vi.spyOn(console, 'info').mockReturnValue()
  vi.spyOn(console, 'error').mockReturnValue()
  await ask({ ...env, LOG_LEVEL: 'warn' }, '/nowhere')
  expect(lines).not.toHaveBeenCalled()
})

test('Analytics Engine gets a data point for each request, where it is bound', async () => {
  vi.spyOn(console, 'info').mockReturnValue()
  const points: unknown[] = []
  await ask({ ...env, METRICS: { writeDataPoint: (point) => void points.push(point) } }, '/nowhere')
  expect(points).toEqual([{ indexes: ['none'], blobs: ['none', 'GET', '404', ''], doubles: [expect.any(Number)] }])
})

test('counters are told only to who has the token of a server that counts', async () => {
  vi.spyOn(console, 'info').mockReturnValue()
  const path = '/_hearth/metrics'
  expect((await ask(env, path, { Authorization: 'Bearer undefined' })).status).toBe(404)
  expect((await ask({ ...env, METER_TOKEN: 'right' }, path, { Authorization: 'Bearer right' })).status).toBe(404)
})
