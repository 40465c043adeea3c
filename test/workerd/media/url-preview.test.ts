/** What is behind a URL. Spec: client-server-api/#get_matrixclientv1mediapreview_url. */
import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import { encodePng } from '../../../r2-media/png.ts'
import { createApp } from '../../../worker/app.ts'
import { ask as askServer } from '../accounts/servers.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { download, streamOf } from './media.ts'
import { gif, redAndBlue } from './pictures.ts'

const path = '/_matrix/client/v1/media/preview_url'
const strict = { URL_PREVIEWS: 'on', ALLOW_PRIVATE_ADDRESSES: 'off' }
const picture = encodePng(redAndBlue(30, 20))

let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})
beforeEach(async () => {
  await env.DB.prepare('DELETE FROM url_previews').run()
})
afterEach(() => {
  vi.restoreAllMocks()
})

interface Page {
  readonly body?: BodyInit
  readonly type?: string
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** The web for one test, by URL; the list of what was asked of it. Where it has no robots.txt, asking for that is not told. */
function web(pages: Readonly<Record<string, Page | (() => Promise<Response>)>>): Request[] {
  const asked: Request[] = []
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    const request = new Request(input instanceof URL ? input.href : input, init)
    const page = pages[request.url]
    if (!page && request.url.endsWith('/robots.txt')) return Promise.resolve(new Response(null, { status: 404 }))
    asked.push(request)
    if (typeof page === 'function') return page()
    if (!page) return Promise.reject(new Error('there is no such host'))
    const { body = null, type = 'text/html', status = 200, headers } = page
    return Promise.resolve(new Response(body, { status, headers: { 'Content-Type': type, ...headers } }))
  })
  return asked
}

interface Told {
  readonly token?: string
  readonly settings?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly path?: string
}

async function preview(
  url: string,
  { token = alice.accessToken, settings = strict, headers, path: at = path }: Told = {},
) {
  const authorization = { Authorization: `Bearer ${token}`, ...headers }
  const { status, body } = await askServer<Record<string, string>>(
    settings,
    'GET',
    `${at}?url=${encodeURIComponent(url)}`,
    undefined,
    authorization,
  )
  return { status, body }
}

const page = '<meta property="og:title" content="The Rock"><meta property="og:image" content="test.png">'

describe('a page', () => {
  it.each([path, '/_matrix/media/v3/preview_url', '/_matrix/media/r0/preview_url'])(
    'is told of with its picture copied here: %s',
    async (at) => {
      web({
        'https://site.example/a': {
          body: `${page}<meta property="og:type" content="video.movie"><meta property="og:image:secure_url" content="https://x.example/">
                 <meta property="og:image:width" content="9999"><meta property="og:video:url" content="https://v.example/">`,
        },
        'https://site.example/test.png': { body: picture, type: 'image/png' },
      })
      const { status, body } = await preview('https://site.example/a#part', { path: at })
      expect({ status, body }).toEqual({
        status: 200,
        body: {
          'og:title': 'The Rock',
          'og:type': 'video.movie',
          'og:image': expect.stringMatching(/^mxc:\/\/test\.local\/[\w-]{24}$/),
          'og:image:type': 'image/png',
          'og:image:width': 30,
          'og:image:height': 20,
          'matrix:image:size': picture.byteLength,
        },
      })
      const file = /^mxc:\/\/(.+)$/.exec(body['og:image'] ?? '')?.[1] ?? ''
      const copy = await download(alice.accessToken, file)
      expect(copy.bytes).toEqual(picture)
    },
  )

  it('is asked for once, and again when the answer is old', async () => {
    const asked = web({ 'https://site.example/': { body: page } })
    const first = await preview('https://site.example/')
    expect(await preview('https://site.example')).toEqual(first)
    expect(asked.map(({ url }) => url)).toEqual(['https://site.example/', 'https://site.example/test.png'])
    await env.DB.prepare('UPDATE url_previews SET expires_at = 1').run()
    await preview('https://site.example/')
    expect(asked).toHaveLength(4)
  })

  it.each([
    [undefined, 3_600_000],
    ['max-age=7200', 7_200_000],
    ['no-cache, max-age=1', 600_000],
    ['public, max-age=999999999', 86_400_000],
  ])('is kept as it says, within bounds: %s', async (cacheControl, lasts) => {
    web({ 'https://site.example/': { headers: cacheControl === undefined ? {} : { 'Cache-Control': cacheControl } } })
    const before = Date.now()
    await preview('https://site.example/')
    const until = await env.DB.prepare('SELECT expires_at FROM url_previews').first<number>('expires_at')
    expect(Math.round(((until ?? 0) - before) / 100_000)).toBe(lasts / 100_000)
  })

  it('is asked for once by many at the same time', async () => {
    const asked = web({
      'https://site.example/slow': async () => {
        await scheduler.wait(300)
        return new Response('<title>slow</title>', { headers: { 'Content-Type': 'text/html' } })
      },
    })
    const answers = await Promise.all(Array.from({ length: 5 }, () => preview('https://site.example/slow')))
    expect(new Set(answers.map(({ body }) => body['og:title']))).toEqual(new Set(['slow']))
    expect(asked).toHaveLength(1)
  })

  it('is asked for in the languages of who wants to see it', async () => {
    const asked = web({ 'https://site.example/': { body: '<title>x</title>' } })
    for (const language of ['de', 'en-GB, en;q=0.5', 'de', 'x'.repeat(500)]) {
      await preview('https://site.example/', { headers: { 'Accept-Language': language } })
    }
    expect(asked.map(({ headers }) => headers.get('Accept-Language'))).toEqual(['de', 'en-GB, en;q=0.5', null])
    expect(asked.every(({ headers }) => !headers.has('Authorization') && !headers.has('Cookie'))).toBe(true)
  })

  it('is read in its own charset', async () => {
    const body = Uint8Array.from('<title>Caf\u00e9</title>', (character) => character.charCodeAt(0))
    web({ 'https://site.example/': { body, type: 'text/html; charset=iso-8859-1' } })
    expect((await preview('https://site.example/')).body).toEqual({ 'og:title': 'Café' })
  })

  it('may tell the rest by oEmbed', async () => {
    web({
      'https://tube.example/v': {
        body: '<link rel=alternate type=application/json+oembed href=/o><title>Tube</title>',
      },
      'https://tube.example/o': {
        body: JSON.stringify({ type: 'video', title: 'Cats', provider_name: 'Tube', thumbnail_url: 'cat.gif' }),
        type: 'application/json',
      },
      'https://tube.example/cat.gif': { body: gif, type: 'image/gif' },
    })
    expect((await preview('https://tube.example/v')).body).toMatchObject({
      'og:title': 'Cats',
      'og:site_name': 'Tube',
      'og:image:type': 'image/gif',
    })
  })

  it('may be a picture, a text, or nothing that can be shown', async () => {
    web({
      'https://site.example/red%20blue.png': { body: picture, type: 'image/png' },
      'https://site.example/note.txt': { body: 'Dear\n diary', type: 'text/plain' },
      'https://site.example/film': { body: streamOf(100), type: 'video/mp4' },
      'https://site.example/endless': { body: `<title>t</title>${'x'.repeat(3_000_000)}`, type: 'text/html' },
    })
    expect((await preview('https://site.example/red%20blue.png')).body).toMatchObject({
      'og:title': 'red blue.png',
      'matrix:image:size': picture.byteLength,
    })
    const text = { 'og:title': 'note.txt', 'og:description': 'Dear diary' }
    expect((await preview('https://site.example/note.txt')).body).toEqual(text)
    expect(await preview('https://site.example/film')).toEqual({ status: 200, body: {} })
    expect((await preview('https://site.example/endless')).body).toEqual({ 'og:title': 't' })
  })
})

describe('a picture', () => {
  const objects = async () => (await env.MEDIA.list()).objects.length

  it.each([
    ['is too large', { body: streamOf(1_000_001), type: 'image/png' }],
    ['says that it is too large', { body: picture, type: 'image/png', headers: { 'Content-Length': '20000000' } }],
    ['is none', { body: '<script>', type: 'image/png' }],
    [
      'is a drawing with script',
      { body: '<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', type: 'image/svg+xml' },
    ],
    ['is gone', { status: 404, body: picture, type: 'image/png' }],
  ])('is left out where it %s', async (_, image) => {
    const before = await objects()
    web({ 'https://site.example/': { body: page }, 'https://site.example/test.png': image })
    expect(await preview('https://site.example/')).toEqual({ status: 200, body: { 'og:title': 'The Rock' } })
    expect(await objects()).toBe(before)
  })

  it('that is the same on two pages is kept once', async () => {
    const image = { body: encodePng(redAndBlue(31, 20)), type: 'image/png' }
    web({
      'https://one.example/': { body: page },
      'https://one.example/test.png': image,
      'https://two.example/': { body: page },
      'https://two.example/test.png': image,
    })
    const one = await preview('https://one.example/')
    const before = await objects()
    expect((await preview('https://two.example/')).body['og:image']).toBe(one.body['og:image'])
    expect(await objects()).toBe(before)
  })
})

describe('this server asks', () => {
  it.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'https://[::1]:8080/',
    'http://[::ffff:10.0.0.1]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://localhost:6379/',
    'http://intranet/',
    'https://test.local/_matrix/client/versions',
  ])('nothing of a private network or itself: %s', async (url) => {
    const asked = web({})
    expect(await preview(url)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    expect(asked).toEqual([])
  })

  it('nor where a page, its picture or its oEmbed leads there', async () => {
    const inside = 'http://10.0.0.1/secret'
    const asked = web({
      'https://evil.example/redirect': { status: 302, headers: { Location: inside } },
      'https://evil.example/page': {
        body: `<title>x</title><meta property=og:image content=${inside}><link rel=alternate type=application/json+oembed href=${inside}>`,
      },
      'https://evil.example/hop': { body: '<title>x</title><meta property=og:image content=/redirect>' },
    })
    expect((await preview('https://evil.example/redirect')).status).toBe(403)
    expect(await preview('https://evil.example/page')).toEqual({ status: 200, body: { 'og:title': 'x' } })
    expect(await preview('https://evil.example/hop')).toEqual({ status: 200, body: { 'og:title': 'x' } })
    expect(asked.filter(({ url }) => !url.startsWith('https://evil.example/'))).toEqual([])
  })

  it('itself nothing, by whatever name', async () => {
    const asked = web({
      'https://evil.example/': { status: 302, headers: { Location: 'https://chat.example/_matrix' } },
    })
    const settings = { ...strict, PUBLIC_URL: 'https://chat.example' }
    expect((await preview('https://evil.example/', { settings })).status).toBe(403)
    expect(asked).toHaveLength(1)
  })

  it('by the way that connects to public addresses alone, where there is one', async () => {
    const asked = web({})
    const seen: string[] = []
    const WEB = {
      fetch(input: RequestInfo | URL) {
        seen.push(input instanceof Request ? input.url : input.toString())
        return Promise.resolve(new Response('<title>public</title>', { headers: { 'Content-Type': 'text/html' } }))
      },
    }
    const request = new Request(`http://test.local${path}?url=https://site.example/web`, {
      headers: { Authorization: `Bearer ${alice.accessToken}` },
    })
    const response = await createApp().fetch(request, { ...env, ...strict, WEB }, createExecutionContext())
    expect(await response.json()).toEqual({ 'og:title': 'public' })
    expect([seen, asked]).toEqual([['https://site.example/robots.txt', 'https://site.example/web'], []])
  })

  it('only so often on and on', async () => {
    const asked = web({ 'https://evil.example/': { status: 302, headers: { Location: '/' } } })
    expect((await preview('https://evil.example/')).status).toBe(404)
    expect(asked).toHaveLength(6)
  })

  it('for no more than web addresses, and without names and passwords in them', async () => {
    const asked = web({ 'https://site.example/x': { body: '<title>x</title>' } })
    for (const url of ['file:///etc/passwd', 'ftp://site.example/', 'javascript:1', 'data:text/html,x', 'x', '']) {
      expect(await preview(url)).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
    }
    expect((await preview(`https://site.example/${'x'.repeat(3000)}`)).status).toBe(400)
    expect((await preview('https://user:secret@site.example/x')).status).toBe(200)
    expect(asked.map(({ url }) => url)).toEqual(['https://site.example/x'])
  })

  it('not at once again where nothing answered', async () => {
    const asked = web({ 'https://site.example/broken': { status: 500 } })
    for (const url of ['https://nowhere.example/', 'https://site.example/broken']) {
      for (const _ of [1, 2])
        expect(await preview(url)).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
    }
    expect(asked).toHaveLength(2)
  })
})

describe('who may ask', () => {
  it('is every user with a token, but no guest', async () => {
    const asked = web({})
    const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest', {})
    expect(await preview('https://site.example/', { token: body.access_token })).toMatchObject({ status: 403 })
    expect(await preview('https://site.example/', { token: 'none' })).toMatchObject({ status: 401 })
    const nothing = await askServer(strict, 'GET', path, undefined, { Authorization: `Bearer ${alice.accessToken}` })
    expect(nothing).toMatchObject({ status: 400, body: { errcode: 'M_MISSING_PARAM' } })
    expect(asked).toEqual([])
  })

  it('is nobody unless the owner wants it', async () => {
    const asked = web({})
    const off = await preview('https://site.example/', { settings: {} })
    expect(off).toMatchObject({ status: 404, body: { errcode: 'M_UNRECOGNIZED' } })
    expect(asked).toEqual([])
  })

  it('asks only so often', async () => {
    web({ 'https://site.example/': { body: '<title>x</title>' } })
    const settings = { ...strict, RATE_LIMITS: 'on' }
    const statuses: number[] = []
    for (let count = 0; count < 70; count++)
      statuses.push((await preview('https://site.example/', { settings })).status)
    expect(new Set(statuses)).toEqual(new Set([200, 429]))
  })
})
