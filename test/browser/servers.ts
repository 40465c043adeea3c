/** Servers for browser tests, and what every page must keep to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import type { Browser, Screen } from './browser.ts'

export const desktop: Screen = { width: 1280, height: 800 }
export const phone: Screen = { width: 390, height: 844, mobile: true }
export const password = 'a long password'

export interface Running {
  readonly server: BackgroundServer
  readonly url: string
  readonly link: string
}

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const running: BackgroundServer[] = []

export async function start(name: string, ...options: string[]): Promise<Running> {
  const port = await freePort()
  const common = [`--port=${port}`, `--data=${join(folder, name)}`]
  const server = await startInBackground('scripts/serve.ts', [...common, ...options])
  running.push(server)
  const [link = ''] = /http\S+#first-account=\S+/.exec(server.output()) ?? []
  return { server, url: `http://127.0.0.1:${port}`, link }
}

/** Looks at the page on both screens: nothing sticks out to the side, and the policy has nothing to complain of. */
export async function look(browser: Browser, name: string): Promise<void> {
  for (const [kind, screen] of Object.entries({ desktop, phone, dark: { ...phone, dark: true } })) {
    await browser.use(screen)
    await browser.screenshot(`${name}-${kind}`)
    const overflow = await browser.run(
      'return document.documentElement.scrollWidth - document.documentElement.clientWidth',
    )
    expect([name, kind, overflow]).toEqual([name, kind, 0])
  }
  await browser.use(desktop)
}

/** A request to the API and the fields of its answer. */
export async function api(url: string, method: string, path: string, body?: object, token?: string) {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  const answer: unknown = await response.json()
  const field = (name: string): unknown =>
    typeof answer === 'object' && answer ? Reflect.get(answer, name) : undefined
  return { status: response.status, field }
}

export async function signIn(url: string, user: string): Promise<string> {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password }
  const { status, field } = await api(url, 'POST', '/_matrix/client/v3/login', body)
  expect([user, status]).toEqual([user, 200])
  return String(field('access_token'))
}

export async function endServers(): Promise<void> {
  for (const server of running) await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
}
