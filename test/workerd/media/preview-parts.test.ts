/** What is read out of a page for its preview, from the bytes on. */
import { describe, expect, it } from 'vitest'

import { decodeEntities } from '../../../worker/media/preview/html-entities.ts'
import { readEmbed } from '../../../worker/media/preview/oembed.ts'
import { pageText } from '../../../worker/media/preview/page-text.ts'
import { readPage } from '../../../worker/media/preview/read-page.ts'

const url = new URL('https://site.example/news/page.html')

describe('character references', () => {
  it.each([
    ['Tom &amp; Jerry &lt;3', 'Tom & Jerry <3'],
    ['caf&eacute; &#8212; &#x1F600;', 'café — 😀'],
    ['&nbsp;&yuml;&Agrave;', '\u00a0ÿÀ'],
    ['AT&T &unknown; &amp', 'AT&T &unknown; &amp'],
    ['&#0;&#xD800;&#x110000;', '\ufffd\ufffd\ufffd'],
    ['&amp;lt;', '&lt;'],
  ])('%s', (written, meant) => {
    expect(decodeEntities(written)).toBe(meant)
  })
})

describe('the charset of a page', () => {
  const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))

  it.each([
    ['its header', latin1('caf\u00e9'), 'text/html; charset=ISO-8859-1', 'café'],
    ['its own word', latin1('<meta charset="windows-1252">\u201aé'.replace('\u201a', '\x82')), 'text/html', '‚é'],
    [
      'the older form of that',
      latin1('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">\xcf\xf0'),
      null,
      'Пр',
    ],
    ['an XML declaration', latin1('<?xml version="1.0" encoding="shift_jis"?>\x93\xfa'), null, '日'],
    ['its byte order mark, whatever else is said', Uint8Array.of(0xff, 0xfe, 0x41, 0), 'text/html; charset=utf-8', 'A'],
    ['nothing: UTF-8', new TextEncoder().encode('日本'), null, '日本'],
    ['no charset that there is: UTF-8', new TextEncoder().encode('日本'), 'text/html; charset=klingon', '日本'],
    ['UTF-16 in ASCII letters, which it cannot be', latin1('<meta charset=utf-16>ok'), null, 'ok'],
  ])('is known by %s', (_, bytes, type, end) => {
    expect(pageText(bytes, type).endsWith(end)).toBe(true)
  })
})

describe('a page', () => {
  it('is told of by Open Graph first', async () => {
    const page = await readPage(
      `<title>Plain</title><meta name="description" content="plain">
       <meta property="og:title" content="Fish &amp; Chips"><meta property="og:title" content="second">
       <META PROPERTY="OG:Description" CONTENT="  two\n lines "><meta property="og:image" content="/pic.png">`,
      url,
    )
    expect(page).toMatchObject({ title: 'Fish & Chips', description: 'two lines' })
    expect(page.image?.href).toBe('https://site.example/pic.png')
  })

  it('else by its title, description, Twitter card or linked picture', async () => {
    const page = await readPage(
      `<html><head><base href="https://cdn.example/a/"><title>The
       title</title><link rel="image_src" href="b.jpg"><meta name="description" content="says it">
       <link rel="alternate" type="application/json+oembed" href="/oembed?url=x&amp;format=json"></head>
       <body><svg><title>drawing</title></svg>`,
      url,
    )
    expect(page).toMatchObject({ title: 'The title', description: 'says it' })
    expect(page.image?.href).toBe('https://cdn.example/a/b.jpg')
    expect(page.oEmbed?.href).toBe('https://cdn.example/oembed?url=x&format=json')
    const card = await readPage('<meta name="twitter:title" content="T"><meta name=twitter:image content=i.png>', url)
    expect([card.title, card.image?.href]).toEqual(['T', 'https://site.example/news/i.png'])
  })

  it('has no say in how much is kept', async () => {
    const many = Array.from(
      { length: 500 },
      (_, index) => `<meta property="og:x${'abcdefghij'[index % 10]}${'y'.repeat(index / 10)}" content="v">`,
    )
    const page = await readPage(
      `<title>${'t'.repeat(50_000)}</title>${many.join('')}<meta property="og:__proto__" content=x>`,
      url,
    )
    expect(page.title).toHaveLength(1000)
    expect(page.properties.size).toBeLessThanOrEqual(30)
    const cut = await readPage(`<title>${'a'.repeat(999)}😀</title>`, url)
    expect(cut.title).toBe('a'.repeat(999))
  })

  it.each([
    '',
    '<',
    '<<<title',
    '<title>',
    '<meta property=og:title>',
    '\0',
    '<base href="::"><meta property=og:image content="http://[">',
  ])('that is broken tells nothing: %j', async (html) => {
    expect(await readPage(html, url)).toMatchObject({ title: undefined, image: undefined })
  })
})

it('reads an oEmbed answer, and no HTML of it', () => {
  const photo = { type: 'photo', title: 'A &amp; B', url: 'https://i.example/1', html: '<script>', author_name: 7 }
  expect(readEmbed(photo)).toEqual({
    title: 'A & B',
    siteName: undefined,
    author: undefined,
    image: 'https://i.example/1',
  })
  const video = { type: 'video', url: 'https://v.example', thumbnail_url: 't.png', provider_name: 'Tube' }
  expect(readEmbed(video)).toMatchObject({ siteName: 'Tube', image: 't.png' })
})
