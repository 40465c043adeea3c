/**
 * The front page in Chromium, as a new owner and their guests use it, on a desktop and on a phone. Pictures of what they see are
 * in dist/screenshots.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { type Browser, missingBrowser, startBrowser } from './browser.ts'
import { api, desktop, endServers, look as lookAt, password, phone, type Running, signIn, start } from './servers.ts'

const missing = missingBrowser()
if (missing !== undefined) console.log(missing)

let browser: Browser

const look = (name: string) => lookAt(browser, name)

async function expectNoViolation(): Promise<void> {
  expect((await browser.console()).filter((line) => line.includes('Content Security Policy'))).toEqual([])
}

describe.skipIf(missing !== undefined)('the front page', () => {
  beforeAll(async () => {
    browser = await startBrowser()
  }, 60_000)
  afterAll(async () => {
    await browser.close()
    await endServers()
  })

  let local: Running

  test('a new server says how to begin', { timeout: 60_000 }, async () => {
    local = await start('local')
    await browser.use(desktop)
    await browser.open(local.url)
    expect(await browser.textOf('h1')).toBe('localhost')
    expect(await browser.textOf('main')).toContain('Nobody has an account yet')
    expect(await browser.textOf('#first')).toBe('')
    await look('new')
    await expectNoViolation()
  })

  test('the owner makes the first account with the link that was printed', { timeout: 60_000 }, async () => {
    expect(local.link).toContain(`${local.url}/#first-account=`)
    await browser.use(phone)
    await browser.open(local.link)
    // The form is shown when the server knows the link.
    await expect.poll(() => browser.textOf('#first h2'), { timeout: 10_000 }).toBe('Make your account')
    // Neither the address nor the history keeps the token.
    expect(await browser.run('return location.href')).toBe(`${local.url}/`)
    expect(await browser.run('return document.activeElement.name')).toBe('username')
    await look('first-account')

    await browser.type('#first [name=username]', 'not a name')
    await browser.type('#first [name=password]', password)
    await browser.click('#first button')
    await expect.poll(() => browser.textOf('#first [role=alert]'), { timeout: 10_000 }).toContain('A user name is of')
    await look('first-account-refused')
    await browser.type('#first [name=username]', 'owner')
    await browser.click('#first [name=show]')
    expect(await browser.run("return document.querySelector('#first [name=password]').type")).toBe('text')
    await browser.click('#first button')
    await expect.poll(() => browser.textOf('#made'), { timeout: 10_000 }).toContain('You are @owner:localhost')
    expect(await browser.run('return document.activeElement.id')).toBe('made-title')
    await look('made')
    await expectNoViolation()

    const token = await signIn(local.url, 'owner')
    expect((await api(local.url, 'GET', '/_synapse/admin/v2/users', undefined, token)).field('total')).toBe(1)
  })

  test('afterwards the link is dead', { timeout: 60_000 }, async () => {
    await browser.open(local.link)
    await expect.poll(() => browser.textOf('#link-problem'), { timeout: 10_000 }).toContain('used already')
    expect(await browser.textOf('#first')).toBe('')
    expect(await browser.textOf('main')).not.toContain('Nobody has an account yet')
    await look('dead-link')
    await expectNoViolation()
  })

  test('a guest registers where that is open', { timeout: 60_000 }, async () => {
    await browser.use(desktop)
    await browser.open(local.url)
    await browser.type('#register [name=username]', 'owner')
    await browser.type('#register [name=password]', password)
    await browser.click('#register button')
    await expect
      .poll(() => browser.textOf('#register [role=alert]'), { timeout: 10_000 })
      .toBe('That user name is taken.')
    await browser.type('#register [name=username]', 'guest')
    await browser.click('#register button')
    await expect.poll(() => browser.textOf('#made'), { timeout: 10_000 }).toContain('You are @guest:localhost')
    await signIn(local.url, 'guest')
    await expectNoViolation()
  })

  test('every field has its label, and the keyboard reaches all of them in order', { timeout: 60_000 }, async () => {
    await browser.open(local.url)
    const unnamed = "return [...document.querySelectorAll('input')].filter((input) => input.labels.length === 0).length"
    expect(await browser.run(unnamed)).toBe(0)
    await browser.type('#register [name=username]', 'x\uE004')
    expect(await browser.run('return document.activeElement.name')).toBe('password')
    await browser.type('#register [name=password]', 'x\uE004')
    expect(await browser.run('return document.activeElement.name')).toBe('show')
    await browser.type('#register [name=password]', 'x\uE004\uE004')
    expect(await browser.run('return document.activeElement.tagName')).toBe('BUTTON')
  })

  test(
    'the policy holds: a script that was smuggled in does not run, and the console tells',
    { timeout: 60_000 },
    async () => {
      await browser.open(local.url)
      await browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.smuggled = 1'; document.body.append(s)",
      )
      expect(await browser.run('return window.smuggled === undefined')).toBe(true)
      expect((await browser.console()).join('\n')).toContain('Content Security Policy')
    },
  )

  test('a friend registers with an invitation code', { timeout: 60_000 }, async () => {
    const server = await start(
      'by-token',
      '--server-name=friends.example',
      '--registration=token',
      '--support-contacts=@owner:friends.example me@friends.example',
    )
    await browser.open(server.link)
    await expect.poll(() => browser.textOf('#first h2'), { timeout: 10_000 }).toBe('Make your account')
    await browser.type('#first [name=username]', 'owner')
    await browser.type('#first [name=password]', password)
    await browser.click('#first button')
    await expect.poll(() => browser.textOf('#made'), { timeout: 10_000 }).toContain('@owner:friends.example')
    const admin = await signIn(server.url, 'owner')
    const wanted = { token: 'come-in', uses_allowed: 1 }
    await api(server.url, 'POST', '/_synapse/admin/v1/registration_tokens/new', wanted, admin)

    await browser.open(server.url)
    await look('by-token')
    await browser.type('#register [name=username]', 'friend')
    await browser.type('#register [name=password]', password)
    await browser.type('#register [name=token]', 'let-me-in')
    await browser.click('#register button')
    await expect.poll(() => browser.textOf('#register [role=alert]'), { timeout: 10_000 }).toContain('is not valid')
    // The code can come in the link.
    await browser.open(`${server.url}/#invitation=come-in`)
    expect(await browser.run("return document.querySelector('[name=token]').value")).toBe('come-in')
    expect(await browser.run('return location.hash')).toBe('')
    await browser.type('#register [name=username]', 'friend')
    await browser.type('#register [name=password]', password)
    await browser.click('#register button')
    await expect.poll(() => browser.textOf('#made'), { timeout: 10_000 }).toContain('You are @friend:friends.example')
    await signIn(server.url, 'friend')
    await expectNoViolation()
  })

  test('a Worker that is not set up guides its owner', { timeout: 60_000 }, async () => {
    const { url, link } = await start('unset', '--server-name=example.org', '--public-url=https://matrix.example.org')
    expect(link).toBe('')
    await browser.open(url)
    expect(await browser.textOf('h1')).toBe('Almost a homeserver')
    expect(await browser.textOf('main')).toContain('SERVER_NAME is still example.org')
    await look('unset')
    await expectNoViolation()
  })
})
