/** The one-time link of a new server, as its owner meets it at the terminal. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const data = join(folder, 'data')
let port: number
let server: BackgroundServer

const url = () => `http://127.0.0.1:${port}`
const start = () =>
  startInBackground('scripts/serve.ts', [`--port=${port}`, `--data=${data}`, '--server-name=link.example'])

beforeAll(async () => {
  port = await freePort()
  server = await start()
}, 60_000)
afterAll(async () => {
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

function register(...args: string[]): Promise<{ code: number; printed: string }> {
  const command = ['scripts/register.ts', `--url=${url()}`, `--data=${data}`, ...args]
  return new Promise((resolve) => {
    execFile(process.execPath, command, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), printed: stdout + stderr })
    })
  })
}

const tokenIn = (printed: string) => /#first-account=(\w+)/.exec(printed)?.[1] ?? ''

async function isValid(token: string): Promise<unknown> {
  const body = JSON.stringify({ token })
  const answer: unknown = await (
    await fetch(`${url()}/_hearth/first-account/validity`, { method: 'POST', body })
  ).json()
  return typeof answer === 'object' && answer ? Reflect.get(answer, 'valid') : undefined
}

test('a new server prints a link; whoever has its data folder gets another one', { timeout: 60_000 }, async () => {
  const printed = tokenIn(server.output())
  expect(server.output()).toContain(`${url()}/#first-account=`)
  expect(await isValid(printed)).toBe(true)
  const again = await register('--link')
  expect(again).toMatchObject({ code: 0, printed: expect.stringContaining('Good once, until') })
  expect(await isValid(tokenIn(again.printed))).toBe(true)
  expect(await isValid(printed)).toBe(false)
  expect(await register('--link', '--secret=wrong')).toMatchObject({
    code: 2,
    printed: expect.stringContaining('HMAC incorrect'),
  })
})

test('with an administrator there are no links any more', { timeout: 60_000 }, async () => {
  expect(await register('alice', '--admin', '--password=a long password')).toMatchObject({ code: 0 })
  expect(await register('--link')).toMatchObject({
    code: 2,
    printed: expect.stringContaining('has an administrator already'),
  })
  await server.end('SIGTERM')
  server = await start()
  expect(server.output()).not.toContain('#first-account=')
})
