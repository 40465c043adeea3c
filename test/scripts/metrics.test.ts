/** What Prometheus sees of a local server: nothing unless it is wished for; then what was asked and what it would cost. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type Client, createRoom, newClient, sendMessage } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
let base: string
let metrics: string
let server: BackgroundServer
let alice: Client
let roomId: string

beforeAll(async () => {
  const [port, metricsPort] = [await freePort(), await freePort()]
  base = `http://127.0.0.1:${port}`
  metrics = `http://127.0.0.1:${metricsPort}`
  const options = [`--port=${port}`, `--metrics-port=${metricsPort}`, `--data=${folder}/data`, '--rate-limits=off']
  server = await startInBackground('scripts/serve.ts', options)
  alice = await newClient(base, 'alice')
  roomId = await createRoom(alice)
}, 60_000)
afterAll(async () => {
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

/** The samples by their names and labels. */
async function read(): Promise<Map<string, number>> {
  const text = await (await fetch(`${metrics}/metrics`)).text()
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}

test('requests are counted by operation and status, and a message by what it would cost', async () => {
  const before = await read()
  await sendMessage(alice, roomId, 'how much is it?')
  const after = await read()
  const more = (name: string) => (after.get(name) ?? NaN) - (before.get(name) ?? 0)
  const units = (unit: string) => more(`hearth_billable_units_total{unit="${unit}"}`)
  expect(more('hearth_requests_total{operation="sendMessage",status="200"}')).toBe(1)
  expect(more('hearth_request_duration_seconds_count{operation="sendMessage"}')).toBe(1)
  expect(more('hearth_request_duration_seconds_bucket{operation="sendMessage",le="+Inf"}')).toBe(1)
  // The message, and whoever asks for the counters.
  expect(units('worker_requests')).toBe(2)
  expect(units('object_requests')).toBeGreaterThanOrEqual(1)
  expect(units('object_rows_written')).toBeGreaterThanOrEqual(6)
  expect(units('object_rows_read')).toBeGreaterThanOrEqual(1)
  expect(units('r2_class_a')).toBe(0)
})

test('queries of the database and operations on the bucket are counted', async () => {
  const before = await read()
  const headers = { Authorization: `Bearer ${alice.accessToken}`, 'Content-Type': 'text/plain' }
  const stored = await fetch(`${base}/_matrix/media/v3/upload`, { method: 'POST', headers, body: 'a file' })
  expect(stored.status).toBe(200)
  const after = await read()
  const units = (unit: string) => {
    const name = `hearth_billable_units_total{unit="${unit}"}`
    return (after.get(name) ?? NaN) - (before.get(name) ?? NaN)
  }
  expect(units('r2_class_a')).toBe(1)
  expect(units('d1_queries')).toBeGreaterThanOrEqual(1)
  expect(units('d1_rows_written')).toBeGreaterThanOrEqual(1)
})

test('the counters are not for those who can reach the server', async () => {
  expect((await fetch(`${base}/_hearth/metrics`)).status).toBe(404)
  expect((await fetch(`${metrics}/anything`)).status).toBe(404)
})

test('the log is one line of JSON a request', () => {
  const lines = server.output().split('\n')
  const line = lines.find((each) => each.includes('"sendMessage"')) ?? ''
  expect(JSON.parse(line)).toMatchObject({ level: 'info', event: 'request', status: 200, time: expect.any(String) })
  expect(server.output()).not.toContain(alice.accessToken)
  expect(server.output()).not.toContain('how much is it?')
})
