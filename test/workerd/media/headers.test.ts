/** What others wrote must not get out of its header. Spec: client-server-api/#serving-inline-content; RFC 6266, RFC 8187. */
import { beforeAll, describe, expect, it } from 'vitest'

import { cleanFileName, contentDisposition, fileNameOf } from '../../../r2-media/content-disposition.ts'
import { cleanContentType } from '../../../r2-media/content-headers.ts'
import { registerUser, type User } from '../client.ts'
import { ask, download, upload } from './media.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})

describe('a file name', () => {
  it.each([
    ['ascii', 'inline; filename="ascii"'],
    ['name with spaces', 'inline; filename="name with spaces"'],
    ['name;with;semicolons', 'inline; filename="name;with;semicolons"'],
    ['🐔', `inline; filename="_"; filename*=utf-8''%F0%9F%90%94`],
    ['наука.pdf', `inline; filename="_____.pdf"; filename*=utf-8''%D0%BD%D0%B0%D1%83%D0%BA%D0%B0.pdf`],
    ['نص', `inline; filename="__"; filename*=utf-8''%D9%86%D8%B5`],
    ['a"b', `inline; filename="a_b"; filename*=utf-8''a%22b`],
    ["it's (100%)*", `inline; filename="it's (100_)*"; filename*=utf-8''it%27s%20%28100%25%29%2A`],
  ])('in any script comes back as it was: %s', async (name, expected) => {
    const file = await upload(alice.accessToken, 'x', { name, type: 'text/plain' })
    const header = (await download(alice.accessToken, file)).headers.get('Content-Disposition')
    expect(header).toBe(expected)
    expect(fileNameOf(header)).toBe(name)
  })

  it('may be given by whoever downloads', async () => {
    const file = await upload(alice.accessToken, 'x', { name: 'mine.txt', type: 'text/plain' })
    const other = await download(alice.accessToken, `${file}/%E2%98%95.txt`)
    expect(fileNameOf(other.headers.get('Content-Disposition'))).toBe('☕.txt')
  })

  it.each([
    ['../../etc/passwd', '.._.._etc_passwd'],
    ['a\r\nSet-Cookie: b=c', 'a__Set-Cookie: b=c'],
    ['\u0000', '_'],
    ['C:\\boot.ini', 'C:_boot.ini'],
    ['invoice\u202Efdp.exe', 'invoice_fdp.exe'],
    ['half \ud800 pair', 'half _ pair'],
    ['.', null],
    ['..', null],
    ['   ', null],
    ['', null],
  ])('that means harm is made harmless: %j', (name, clean) => {
    expect(cleanFileName(name)).toBe(clean)
  })

  it('does not break a header, whoever gives it', async () => {
    const name = 'x"\r\nContent-Type: text/html\r\n\r\n<script>'
    const file = await upload(alice.accessToken, 'x', { name, type: 'text/plain' })
    for (const path of [file, `${file}/${encodeURIComponent(name)}`]) {
      const { status, headers } = await download(alice.accessToken, path)
      expect([status, headers.get('Content-Type')]).toEqual([200, 'text/plain'])
    }
  })

  it('is cut where it is endless', () => {
    expect(cleanFileName('a'.repeat(10_000))).toHaveLength(255)
    expect(cleanFileName(`${'a'.repeat(254)}🐔`)).toBe(`${'a'.repeat(254)}_`)
  })

  it.each([
    ['attachment; filename=plain.txt', 'plain.txt'],
    ['attachment; filename="q\\"uo.txt"', 'q"uo.txt'],
    [`inline; filename="a"; filename*=UTF-8'en'%E2%98%95`, '☕'],
    [`inline; filename="a"; filename*=utf-8''%FF`, 'a'],
    ['inline; filename="../x"', '.._x'],
    ['inline', null],
    ['', null],
  ])("is read out of another server's header: %s", (header, name) => {
    expect(fileNameOf(header)).toBe(name)
  })
})

describe('a type', () => {
  it.each([
    'text/html',
    'image/svg+xml',
    'image/svg',
    'application/xhtml+xml',
    'text/xml',
    'application/pdf',
    'TEXT/HTML;a=b',
  ])('that could run is only ever saved: %s', async (type) => {
    const file = await upload(alice.accessToken, '<script>alert(1)</script>', { type, name: 'a.png' })
    const { headers } = await download(alice.accessToken, file)
    expect(headers.get('Content-Disposition')).toBe('attachment; filename="a.png"')
    expect(headers.get('Content-Security-Policy')).toMatch(/^sandbox; default-src 'none'; script-src 'none';/)
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    const part = await ask(`/_matrix/client/v1/media/download/${file}`, {
      token: alice.accessToken,
      headers: { Range: 'bytes=0-3' },
    })
    expect(part.headers.get('Content-Disposition')).toMatch(/^attachment/)
  })

  it.each([
    ['image/png', 'inline'],
    ['Text/Plain; charset=utf-8', 'inline'],
    ['text/plain, text/html', 'attachment'],
    ['image/png+text/html', 'attachment'],
  ])('of the list may be shown: %s', (type, disposition) => {
    expect(contentDisposition(cleanContentType(type), null)).toBe(disposition)
  })

  it.each(['', 'nonsense', 'text/', 'text/plain\r\nX: y', 'text/plain; a=\u0000', `text/${'a'.repeat(500)}`, null])(
    'that is none is application/octet-stream: %j',
    (type) => {
      expect(cleanContentType(type)).toBe('application/octet-stream')
    },
  )
})
