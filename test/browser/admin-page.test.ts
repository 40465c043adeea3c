/** The page for administrators in Chromium: an invitation that is made there lets a friend in, and a report is dealt with. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { type Browser, missingBrowser, startBrowser } from './browser.ts'
import { api, desktop, endServers, look, password, signIn, start, type Running } from './servers.ts'

describe.skipIf(missingBrowser() !== undefined)('the page for administrators', () => {
  let browser: Browser
  let server: Running

  beforeAll(async () => {
    browser = await startBrowser()
    server = await start('admin', '--server-name=club.example', '--registration=token')
    const token = server.link.split('=').at(-1)
    expect(
      (await api(server.url, 'POST', '/_hearth/first-account', { token, username: 'owner', password })).status,
    ).toBe(200)
    await browser.use(desktop)
  }, 60_000)
  afterAll(async () => {
    await browser.close()
    await endServers()
  })

  const enter = async (name: string, word = password) => {
    await browser.open(`${server.url}/_hearth/admin`)
    await browser.type('#name', name)
    await browser.type('#password', word)
    await browser.click('#sign-in button')
  }
  const eventually = (selector: string) => expect.poll(() => browser.textOf(selector), { timeout: 10_000 })

  test('who is no administrator learns nothing', { timeout: 60_000 }, async () => {
    await enter('owner', 'a wrong password')
    await eventually('#sign-in [role=alert]').toContain('Wrong user name or password')
    expect(await browser.textOf('#inside')).toBe('')
  })

  test('an invitation lets a friend in, once', { timeout: 60_000 }, async () => {
    await enter('owner')
    await eventually('#users').toContain('@owner:club.example administrator')
    expect(await browser.textOf('#reports')).toBe('Nothing was reported.')
    await browser.click('#invite')
    await eventually('#new-link').toContain('#invitation=')
    const [link = ''] = /http\S+#invitation=\S+/.exec(await browser.textOf('#new-link')) ?? []
    await browser.open(link)
    await browser.type('#register [name=username]', 'friend')
    await browser.type('#register [name=password]', password)
    await browser.click('#register button')
    await eventually('#made').toContain('You are @friend:club.example')
    await enter('friend')
    await eventually('#sign-in [role=alert]').not.toBe('')
    expect(await browser.textOf('#inside')).toBe('')
  })

  test('a policy list is followed and removed', { timeout: 60_000 }, async () => {
    const owner = await signIn(server.url, 'owner')
    const made = await api(server.url, 'POST', '/_matrix/client/v3/createRoom', { name: '<b>Spam</b>' }, owner)
    const roomId = String(made.field('room_id'))
    const rule = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.policy.rule.user/x`
    await api(server.url, 'PUT', rule, { entity: '@spam*:*', recommendation: 'm.ban' }, owner)
    await enter('owner')
    await eventually('#lists').toBe('None is followed.')
    await browser.type('#list', '#nowhere:club.example')
    await browser.click('#add-list button')
    await eventually('#problem').toContain('not found')
    await browser.run("document.getElementById('list').value = ''")
    await browser.type('#list', roomId)
    await browser.click('#add-list button')
    await eventually('#lists').toContain('<b>Spam</b> 1 rules for people, 0 for rooms, 0 for servers')
    await browser.click('#lists button')
    await eventually('#lists').toBe('None is followed.')
  })

  test('the check-up says what is well, and the next step where it is not', { timeout: 90_000 }, async () => {
    await enter('owner')
    await eventually('#users').toContain('@owner:club.example')
    await browser.click('#examine')
    await expect.poll(() => browser.textOf('#findings-sum'), { timeout: 60_000 }).toMatch(/wrong\.$/)
    const findings = await browser.textOf('#findings')
    expect(findings).toContain('\u2713 DB (D1) answers within')
    expect(findings).toMatch(
      /\u2717 Federation API .* does not answer .*Next: a Worker answers on 443 alone: delegate with/s,
    )
    expect(findings).toContain('\u2713 Mail is set up')
    await browser.run("document.getElementById('findings-title').scrollIntoView()")
    await look(browser, 'check-up')
  })

  test('a report is read and removed', { timeout: 60_000 }, async () => {
    const friend = await signIn(server.url, 'friend')
    const reason = '<img src=x onerror=alert(1)> is rude'
    const path = '/_matrix/client/v3/users/@owner:club.example/report'
    expect((await api(server.url, 'POST', path, { reason }, friend)).status).toBe(200)
    await enter('owner')
    await eventually('#reports').toContain(reason)
    await browser.click('#invite')
    await eventually('#tokens').toContain('for 1 more')
    await look(browser, 'admin')
    await browser.click('#reports button')
    await eventually('#reports').toBe('Nothing was reported.')
    await browser.click('#tokens button')
    await eventually('#tokens').toBe('None is open.')
    expect((await browser.console()).filter((line) => line.includes('Content Security Policy'))).toEqual([])
    // Its token ends with the page.
    await browser.click('#sign-out')
    await expect
      .poll(() => browser.run("return document.getElementById('inside').hidden"), { timeout: 10_000 })
      .toBe(true)
    const token = await signIn(server.url, 'owner')
    await expect
      .poll(
        async () =>
          JSON.stringify(
            (await api(server.url, 'GET', '/_matrix/client/v3/devices', undefined, token)).field('devices'),
          ),
        {
          timeout: 10_000,
        },
      )
      .not.toContain('Administration page')
  })
})
