/**
 * Pictures as people send them, in every format, and files that are made to do harm: each with what becomes of it. The
 * table of all of them is test/conformance/media-cases.md.
 */
import { env } from 'cloudflare:workers'
import { decode } from 'jpeg-js'
import { deflateSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'

import { downscaler, type Pixels } from '../../../r2-media/downscale.ts'
import { pictureInfo } from '../../../r2-media/picture-info.ts'
import { decodePng, encodePng } from '../../../r2-media/png.ts'
import hostile from '../../fixtures/media/hostile.json' with { type: 'json' }
import pictures from '../../fixtures/media/pictures.json' with { type: 'json' }
import { registerUser, type User } from '../client.ts'
import { ask, download, type Reply, upload } from './media.ts'
import { jpegOf, pixelAt, redAndBlue } from './pictures.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})

const files = { ...pictures, ...hostile }
type Name = keyof typeof files
const bytesOf = (name: Name) => Uint8Array.from(atob(files[name]), (c) => c.charCodeAt(0))

const thumbnail = (file: string, query: string) =>
  ask(`/_matrix/client/v1/media/thumbnail/${file}?${query}`, { token: alice.accessToken })
const small = 'width=32&height=32&method=crop'

async function thumbnailOf(body: Uint8Array | string, query = small): Promise<Reply> {
  return thumbnail(await upload(alice.accessToken, body, { type: 'image/png' }), query)
}

/** By a decoder that is not ours for JPEG. */
async function pixelsOf(bytes: Uint8Array): Promise<Pixels> {
  const { width, height, format } = pictureInfo(bytes) ?? { width: 0, height: 0, format: undefined }
  if (format === 'image/jpeg') return { width, height, data: Uint8Array.from(decode(bytes, { useTArray: true }).data) }
  const sink = downscaler(width, height, { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height })
  expect(await decodePng(bytes, sink)).toBe(true)
  return sink.result()
}

/** The colours at the corners, from the upper left by rows: r, g, b or w, whichever is nearest, and _ for none. */
function corners(picture: Pixels): string {
  const colours = { r: [255, 0, 0], g: [0, 255, 0], b: [0, 0, 255], w: [255, 255, 255] }
  const { width, height } = picture
  const nameOf = ([red = 0, green = 0, blue = 0, alpha]: readonly number[]) => {
    const distance = ([r = 0, g = 0, b = 0]: readonly number[]) => Math.hypot(red - r, green - g, blue - b)
    const [nearest] = Object.entries(colours).sort(([, one], [, other]) => distance(one) - distance(other))
    return alpha === 0 ? '_' : nearest?.[0]
  }
  return [4, height - 5].flatMap((y) => [4, width - 5].map((x) => nameOf(pixelAt(picture, x, y)))).join('')
}

describe('a thumbnail is made of', () => {
  it.each<readonly [name: Name, type: string, corners: string]>([
    ['baseline.jpg', 'image/jpeg', 'rgbw'],
    ['progressive.jpg', 'image/jpeg', 'rgbw'],
    ['full-chroma.jpg', 'image/jpeg', 'rgbw'],
    ['cmyk.jpg', 'image/jpeg', 'rgbw'],
    ['rgb.png', 'image/png', 'rgbw'],
    ['palette.png', 'image/png', 'rgbw'],
    ['deep.png', 'image/png', 'rgbw'],
    ['interlaced.png', 'image/png', 'rgbw'],
    ['interlaced-palette.png', 'image/png', 'rgbw'],
    ['translucent.png', 'image/png', 'r_b_'],
    ['animated.png', 'image/png', 'rgbw'],
    ['still.gif', 'image/png', 'rgbw'],
    ['animated.gif', 'image/png', 'rgbw'],
    ['lossy.webp', 'image/jpeg', 'rgbw'],
    ['lossless.webp', 'image/jpeg', 'rgbw'],
    ['translucent.webp', 'image/png', 'r_b_'],
    ['animated.webp', 'image/jpeg', 'rgbw'],
    ['picture.avif', 'image/jpeg', 'rgbw'],
    ['translucent.avif', 'image/png', 'r_b_'],
  ])('%s', async (name, type, colours) => {
    const { status, headers, bytes } = await thumbnailOf(bytesOf(name))
    expect([status, headers.get('Content-Type')]).toEqual([200, type])
    const picture = await pixelsOf(bytes)
    expect([picture.width, picture.height, corners(picture)]).toEqual([32, 32, colours])
  })

  it('a grey JPEG', async () => {
    const picture = await pixelsOf((await thumbnailOf(bytesOf('grey.jpg'))).bytes)
    const [r = 0, g = 0, b = 0] = pixelAt(picture, 4, 4)
    expect([picture.width, Math.max(r, g, b) - Math.min(r, g, b) < 4]).toEqual([32, true])
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8] as const)('a photo, upright, held as %i', async (orientation) => {
    const { headers, bytes } = await thumbnailOf(bytesOf(`orientation-${orientation}.jpg`))
    const picture = await pixelsOf(bytes)
    expect([headers.get('Content-Type'), picture.width, corners(picture)]).toEqual(['image/jpeg', 32, 'rgbw'])
    expect(new TextDecoder('latin1').decode(bytes)).not.toContain('Exif')
  })

  it('a photo of twelve megapixels', async () => {
    const photo = jpegOf(redAndBlue(4000, 3000))
    const { status, bytes } = await thumbnailOf(photo, 'width=800&height=600')
    const picture = await pixelsOf(bytes)
    expect([status, picture.width, picture.height]).toEqual([200, 800, 600])
    expect(pixelAt(picture, 10, 10)[0]).toBeGreaterThan(200)
    expect(pixelAt(picture, 790, 590)[2]).toBeGreaterThan(200)
  })
})

describe('what moves', () => {
  it.each<Name>(['animated.gif', 'animated.webp', 'animated.png'])('%s moves only for those who ask', async (name) => {
    const file = await upload(alice.accessToken, bytesOf(name))
    expect((await thumbnail(file, `${small}&animated=true`)).bytes).toEqual(bytesOf(name))
    for (const query of [small, `${small}&animated=false`, 'width=300&height=200&animated=false']) {
      const { status, bytes } = await thumbnail(file, query)
      expect([status, pictureInfo(bytes)?.mayMove]).toEqual([200, false])
    }
  })

  it('is known from what stands still', async () => {
    const { headers } = await thumbnailOf(bytesOf('still.gif'), `${small}&animated=true`)
    expect(headers.get('Content-Type')).toBe('image/png')
  })
})

/** A picture that claims another size. */
function claiming(name: Name, at: number, ...bytes: number[]): Uint8Array {
  const picture = bytesOf(name)
  picture.set(bytes, at)
  return picture
}

function indexOf(bytes: Uint8Array, text: string): number {
  return new TextDecoder('latin1').decode(bytes).indexOf(text)
}

/** A PNG whose pixels are `rows` of zeros, whatever its header says. */
function bomb(width: number, height: number, rows: number): Uint8Array {
  const png = encodePng(redAndBlue(1, 1))
  const header = png.slice(0, 33)
  const view = new DataView(header.buffer)
  view.setUint32(16, width)
  view.setUint32(20, height)
  const data = deflateSync(new Uint8Array(rows * (width * 4 + 1)), { level: 9 })
  const chunk = new Uint8Array(data.byteLength + 12)
  new DataView(chunk.buffer).setUint32(0, data.byteLength)
  chunk.set(new TextEncoder().encode('IDAT'), 4)
  chunk.set(data, 8)
  return new Uint8Array([...header, ...chunk, ...png.subarray(-12)])
}

const [svg, html, zip] = [bytesOf('script.svg'), bytesOf('script.html'), bytesOf('empty.zip')]

describe('nothing is decoded of', () => {
  const avif = bytesOf('picture.avif')
  it.each<readonly [string, Uint8Array]>([
    ['a PNG of 50,000 × 50,000', bytesOf('huge.png')],
    ['a GIF of 50,000 × 50,000', claiming('still.gif', 6, 0x50, 0xc3, 0x50, 0xc3)],
    ['a WebP of 50,000 × 50,000', claiming('translucent.webp', 24, 0x4f, 0xc3, 0, 0x4f, 0xc3, 0)],
    [
      'an AVIF of 50,000 × 50,000',
      claiming('picture.avif', indexOf(avif, 'ispe') + 8, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50),
    ],
    ['a JPEG of 50,000 × 50,000', claiming('baseline.jpg', sizeIn(bytesOf('baseline.jpg')), 0xc3, 0x50, 0xc3, 0x50)],
    ['a PNG of 100 megapixels in a few kilobytes', bomb(10_000, 10_000, 20)],
  ])('%s: it is answered as it is while it is small', async (_, body) => {
    const before = (await env.MEDIA.list({ prefix: 'thumbnail/' })).objects.length
    const { status, bytes } = await thumbnailOf(body)
    expect([status, bytes]).toEqual([200, body])
    expect((await env.MEDIA.list({ prefix: 'thumbnail/' })).objects).toHaveLength(before)
  })

  /** Where the height stands in a JPEG. */
  function sizeIn(bytes: Uint8Array): number {
    return bytes.findIndex((byte, at) => byte === 0xff && bytes[at + 1] === 0xc0) + 5
  }
})

describe('what is broken inside', () => {
  it.each<Name>(['baseline.jpg', 'progressive.jpg', 'rgb.png', 'still.gif', 'lossy.webp', 'picture.avif'])(
    '%s, cut in its middle, is answered as it is, or with what was there',
    async (name) => {
      const whole = bytesOf(name)
      const cut = whole.subarray(0, Math.floor(whole.byteLength * (name === 'baseline.jpg' ? 0.95 : 0.9)))
      const { status, bytes } = await thumbnailOf(cut)
      expect(status).toBe(200)
      if (bytes.byteLength !== cut.byteLength) expect((await pixelsOf(bytes)).width).toBe(32)
      else expect(bytes).toEqual(cut)
    },
  )

  it.each<Name>(['baseline.jpg', 'rgb.png', 'still.gif', 'lossy.webp', 'picture.avif'])(
    '%s, cut in its header, is no picture',
    async (name) => {
      const { status, errcode } = await thumbnailOf(bytesOf(name).subarray(0, 9))
      expect([status, errcode]).toEqual([400, 'M_UNKNOWN'])
    },
  )

  it('has more pixels than it says: no more than it said are made', async () => {
    const { status, bytes } = await thumbnailOf(bomb(100, 100, 100_000))
    expect([status, (await pixelsOf(bytes)).width]).toEqual([200, 32])
  })

  it('says another size than its decoder finds: nothing is made', async () => {
    const lying = claiming('translucent.webp', 24, 200, 0, 0, 200, 0, 0)
    expect((await thumbnailOf(lying)).bytes).toEqual(lying)
    const avif = bytesOf('picture.avif')
    const smaller = claiming('picture.avif', indexOf(avif, 'ispe') + 8, 0, 0, 0, 64, 0, 0, 0, 64)
    expect((await thumbnailOf(smaller)).bytes).toEqual(smaller)
  })

  it('changes anywhere: there is an answer all the same', { timeout: 60_000 }, async () => {
    let random = 7
    const next = (below: number) => (random = (random * 48_271) % 0x7fffffff) % below
    for (const name of [
      'baseline.jpg',
      'progressive.jpg',
      'palette.png',
      'still.gif',
      'lossy.webp',
      'picture.avif',
    ] as const) {
      for (let attempt = 0; attempt < 15; attempt++) {
        const broken = bytesOf(name)
        for (let change = 0; change < 3; change++) broken[next(broken.byteLength)] = next(256)
        expect([200, 400]).toContain((await thumbnailOf(broken)).status)
      }
    }
  })
})

describe('what is no picture', () => {
  it.each<readonly [string, string | Uint8Array]>([
    ['an SVG with a script', svg],
    ['a page', html],
    ['a ZIP', zip],
    ['a PDF', bytesOf('short.pdf')],
    ['nothing', ''],
    ['a picture of 0 × 0', claiming('rgb.png', 16, 0, 0, 0, 0, 0, 0, 0, 0)],
  ])('has no thumbnail: %s', async (_, body) => {
    const { status, errcode } = await thumbnailOf(body)
    expect([status, errcode]).toEqual([400, 'M_UNKNOWN'])
  })

  it.each([
    ['image/svg+xml', svg],
    ['text/html', html],
    ['application/zip', zip],
    ['application/xhtml+xml', html],
  ] as const)('is only ever saved, and never runs: %s', async (type, body) => {
    const file = await upload(alice.accessToken, body, { type, name: 'x' })
    const { headers } = await download(alice.accessToken, file)
    expect(headers.get('Content-Disposition')).toMatch(/^attachment/)
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(headers.get('Content-Security-Policy')).toMatch(/^sandbox; default-src 'none'/)
  })

  it('but both a GIF and a page: the page is saved, the GIF is a picture', async () => {
    const file = await upload(alice.accessToken, bytesOf('gif-and-page.gif'), { type: 'text/html' })
    expect((await download(alice.accessToken, file)).headers.get('Content-Disposition')).toBe('attachment')
    const { bytes, headers } = await thumbnail(file, small)
    expect([headers.get('Content-Type'), new TextDecoder().decode(bytes).includes('script')]).toEqual([
      'image/png',
      false,
    ])
    const whole = await thumbnail(file, 'width=2000&height=2000')
    expect(whole.headers.get('Content-Type')).toBe('image/gif')
    expect(whole.headers.get('Content-Security-Policy')).toMatch(/^sandbox/)
  })
})
