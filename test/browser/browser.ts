/**
 * Chromium without a window, driven by chromedriver over plain HTTP, as Debian's packages chromium and chromium-driver bring
 * them. Spec: W3C WebDriver; the commands for the size of the screen and for whole pages are DevTools'.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { freePort } from '../../scripts/serve/start-in-background.ts'

/** The key by which WebDriver marks references to elements. */
const elementKey = 'element-6066-11e4-a52e-4f735466cecf'
const screenshots = join(import.meta.dirname, '../../dist/screenshots')

export interface Screen {
  readonly width: number
  readonly height: number
  readonly mobile?: boolean
  readonly dark?: boolean
}

/** Why no browser can be tested on this machine; undefined where one can. */
export function missingBrowser(): string | undefined {
  const missing = ['chromium', 'chromedriver'].filter((name) => spawnSync(name, ['--version']).status !== 0)
  if (missing.length === 0) return undefined
  return `Browser tests are skipped: there is no ${missing.join(', no ')} here (Debian: chromium, chromium-driver)`
}

export class Browser {
  readonly #driver: ChildProcess
  readonly #session: string
  readonly #profile: string

  constructor(driver: ChildProcess, session: string, profile: string) {
    this.#driver = driver
    this.#session = session
    this.#profile = profile
  }

  /** Takes on the size and the colours of a screen. */
  async use({ width, height, mobile = false, dark = false }: Screen): Promise<void> {
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]
    await this.#devTools('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      mobile,
      deviceScaleFactor: mobile ? 2 : 1,
    })
    await this.#devTools('Emulation.setEmulatedMedia', { features })
  }

  /** Opens an address as if it were typed: also where only the fragment is another. */
  async open(url: string): Promise<void> {
    await this.#call('POST', '/url', { url: 'about:blank' })
    await this.#call('POST', '/url', { url })
  }

  /** Runs the body of a function in the page. */
  async run(script: string): Promise<unknown> {
    return this.#call('POST', '/execute/sync', { script, args: [] })
  }

  async type(selector: string, text: string): Promise<void> {
    const element = await this.#find(selector)
    await this.#call('POST', `/element/${element}/clear`, {})
    await this.#call('POST', `/element/${element}/value`, { text })
  }

  async click(selector: string): Promise<void> {
    await this.#call('POST', `/element/${await this.#find(selector)}/click`, {})
  }

  /** What a person sees of an element: nothing where it is hidden. */
  async textOf(selector: string): Promise<string> {
    return String(await this.#call('GET', `/element/${await this.#find(selector)}/text`))
  }

  /** The whole page as a picture, in dist/screenshots. */
  async screenshot(name: string): Promise<void> {
    const shot = await this.#devTools('Page.captureScreenshot', { captureBeyondViewport: true })
    mkdirSync(screenshots, { recursive: true })
    writeFileSync(join(screenshots, `${name}.png`), Buffer.from(textIn(shot, 'data'), 'base64'))
  }

  /** What the console said since it was asked last. */
  async console(): Promise<string[]> {
    const entries = await this.#call('POST', '/se/log', { type: 'browser' })
    return Array.isArray(entries) ? entries.map((entry) => textIn(entry, 'message')) : []
  }

  async close(): Promise<void> {
    await this.#call('DELETE', '').catch(() => {})
    this.#driver.kill()
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }

  async #find(selector: string): Promise<string> {
    return textIn(await this.#call('POST', '/element', { using: 'css selector', value: selector }), elementKey)
  }

  #devTools(cmd: string, params: object): Promise<unknown> {
    return this.#call('POST', '/goog/cdp/execute', { cmd, params })
  }

  #call(method: string, path: string, body?: object): Promise<unknown> {
    return call(method, this.#session + path, body)
  }
}

export async function startBrowser(): Promise<Browser> {
  const port = await freePort()
  const profile = mkdtempSync(join(tmpdir(), 'hearth-chromium-'))
  const driver = spawn('chromedriver', [`--port=${port}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => driver.kill())
  let printed = ''
  while (!printed.includes('successfully')) printed += String((await once(driver.stdout, 'data'))[0])
  const capabilities = {
    alwaysMatch: {
      browserName: 'chrome',
      'goog:chromeOptions': {
        // Its sandbox does not start as root, as in containers; the only pages it sees here are ours.
        args: [
          '--headless=new',
          '--no-sandbox',
          '--disable-dev-shm-usage',
          '--hide-scrollbars',
          `--user-data-dir=${profile}`,
        ],
      },
      'goog:loggingPrefs': { browser: 'ALL' },
      timeouts: { implicit: 5000 },
    },
  }
  const base = `http://127.0.0.1:${port}/session`
  const session = textIn(await call('POST', base, { capabilities }), 'sessionId')
  return new Browser(driver, `${base}/${session}`, profile)
}

async function call(method: string, url: string, body?: object): Promise<unknown> {
  const response = await fetch(url, { method, ...(body && { body: JSON.stringify(body) }) })
  const answer: unknown = await response.json()
  const value: unknown = typeof answer === 'object' && answer ? Reflect.get(answer, 'value') : undefined
  if (!response.ok) throw new Error(`${method} ${url}: ${textIn(value, 'message')}`)
  return value
}

function textIn(object: unknown, name: string): string {
  const value: unknown = typeof object === 'object' && object ? Reflect.get(object, name) : undefined
  return typeof value === 'string' ? value : ''
}
