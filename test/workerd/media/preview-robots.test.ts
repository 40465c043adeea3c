/** What sites and pages do not want to be shown. RFC 9309. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { isForbidden, wishesOf } from '../../../worker/media/preview/robots.ts'
import { ask } from '../accounts/servers.ts'
import { registerUser, type User } from '../client.ts'

describe('robots.txt', () => {
  it.each<readonly [forbidden: boolean, text: string, path: string]>([
    [false, '', '/'],
    [false, 'User-agent: *\nDisallow: /', '/'],
    [true, 'User-agent: Hearth\nDisallow: /', '/'],
    [true, 'user-agent: hearth\r\ndisallow: /private # really\r\n', '/private/x'],
    [false, 'User-agent: Hearth\nDisallow: /private', '/public'],
    [false, 'User-agent: Hearth\nDisallow:', '/'],
    [true, 'User-agent: Hearth\nUser-agent: Other\n\nUser-agent: Third\nDisallow: /', '/'],
    [true, 'User-agent: Other\nUser-agent: Hearth\nDisallow: /', '/'],
    [true, 'User-agent: Hearth\nAllow: /x\nUser-agent: Other\nAllow: /\nUser-agent: Hearth\nDisallow: /', '/y'],
    [false, 'User-agent: Hearth\nDisallow: /\nAllow: /open', '/open/door'],
    [true, 'User-agent: Hearth\nAllow: /\nDisallow: /open/door', '/open/door'],
    [false, 'User-agent: Hearth\nDisallow: /a\nAllow: /a', '/a'],
    [true, 'User-agent: Hearth\nDisallow: /*.pdf$', '/papers/one.pdf'],
    [false, 'User-agent: Hearth\nDisallow: /*.pdf$', '/papers/one.pdf?page=2'],
    [true, 'User-agent: Hearth\nDisallow: /*?secret=', '/a?b=1&?secret=2'],
    [true, 'User-agent: Hearth\nDisallow: /a*b*c', '/a--b--c--d'],
    [false, 'User-agent: Hearth\nDisallow: /a*b*c$', '/a--b--c--d'],
    [true, 'User-agent: Hearth\nDisallow: /exact$', '/exact'],
    [false, '<html>not found</html>', '/'],
  ])('%j: %s on %s', (forbidden, text, path) => {
    expect(isForbidden(text, 'Hearth', path)).toBe(forbidden)
  })

  it('of a stranger costs what its length costs', () => {
    const rule = `Disallow: /${'*a'.repeat(500)}$\n`
    expect(isForbidden(`User-agent: Hearth\n${rule.repeat(400)}`, 'Hearth', `/${'a'.repeat(2000)}b`)).toBe(false)
  })
})

it.each<readonly [directives: string, snippet: boolean, image: boolean]>([
  ['', true, true],
  ['noindex, nofollow', true, true],
  ['NoSnippet', false, true],
  ['noimageindex, nosnippet', false, false],
  ['max-snippet: 0', false, true],
  ['max-snippet:10, max-image-preview: none', true, false],
  ['otherbot: nosnippet', true, true],
  ['hearth: nosnippet', false, true],
])('a page that says %j', (directives, snippet, image) => {
  expect(wishesOf([directives, null], 'Hearth')).toEqual({ snippet, image })
})

describe('a preview', () => {
  let alice: User
  beforeAll(async () => {
    alice = await registerUser('robots-alice')
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  const page = (robots: string) =>
    `<title>News</title><meta name="description" content="All of it"><meta property="og:image" content="/p.png">
     <meta property="og:description" content="All"><meta name="robots" content="${robots}">`

  async function preview(robots: string, html: string, headers: Record<string, string> = {}) {
    await env.DB.prepare('DELETE FROM url_previews').run()
    const asked: string[] = []
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const { pathname } = new URL(new Request(input instanceof URL ? input.href : input, init).url)
      asked.push(pathname)
      if (pathname === '/robots.txt') return new Response(robots)
      if (pathname === '/p.png') return new Response(null, { status: 404 })
      return new Response(html, { headers: { 'Content-Type': 'text/html', ...headers } })
    })
    const path = `/_matrix/client/v1/media/preview_url?url=${encodeURIComponent('https://site.example/a?b')}`
    const authorization = { Authorization: `Bearer ${alice.accessToken}` }
    const settings = { URL_PREVIEWS: 'on', ALLOW_PRIVATE_ADDRESSES: 'off' }
    const { status, body } = await ask<Record<string, string>>(settings, 'GET', path, undefined, authorization)
    return { status, body, asked }
  }

  it('is not made where the site forbids it to us, and the page is not asked for', async () => {
    const { status, asked } = await preview('User-agent: Hearth\nDisallow: /a?', page(''))
    expect([status, asked]).toEqual([403, ['/robots.txt']])
  })

  it('is made where crawlers are not wanted: it is a person who asks', async () => {
    const { status, body, asked } = await preview('User-agent: *\nDisallow: /', page('noindex'))
    expect([status, body, asked]).toEqual([
      200,
      { 'og:title': 'News', 'og:description': 'All' },
      ['/robots.txt', '/a', '/p.png'],
    ])
  })

  it.each([
    ['nosnippet, noimageindex', {}],
    ['', { 'X-Robots-Tag': 'nosnippet, noimageindex' }],
  ])('quotes nothing that the page does not want quoted: %j %j', async (robots, headers) => {
    const { body, asked } = await preview('', page(robots), headers)
    expect([body, asked]).toEqual([{ 'og:title': 'News' }, ['/robots.txt', '/a']])
  })
})
