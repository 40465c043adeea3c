/** Pictures that lie on their side, in every format that can say so: their thumbnails stand upright. */
import { env } from 'cloudflare:workers'
import { crc32 } from 'node:zlib'
import { decode } from 'jpeg-js'
import { beforeAll, describe, expect, it } from 'vitest'

import { downscaler, type Pixels } from '../../../r2-media/downscale.ts'
import { orientationOf } from '../../../r2-media/orientation.ts'
import { pictureInfo } from '../../../r2-media/picture-info.ts'
import { decodePng } from '../../../r2-media/png.ts'
import pictures from '../../fixtures/media/pictures.json' with { type: 'json' }
import { registerUser, type User } from '../client.ts'
import { ask, upload } from './media.ts'
import { pixelAt } from './pictures.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})

type Name = keyof typeof pictures
const bytesOf = (name: Name) => Uint8Array.from(atob(pictures[name]), (c) => c.charCodeAt(0))
const ascii = (text: string) => new TextEncoder().encode(text)
const joined = (...parts: (Uint8Array | number[])[]) => Uint8Array.from(parts.flatMap((part) => [...part]))
const number = (value: number, little = false) => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, little)
  return bytes
}

/** A TIFF with nothing but the tag of the orientation. */
const exif = (orientation: number, little = false) =>
  little
    ? joined(ascii('II'), [0x2a, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0])
    : joined(ascii('MM'), [0, 0x2a, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0])

function pngWith(orientation: number): Uint8Array {
  const png = bytesOf('rgb.png')
  const content = joined(ascii('eXIf'), exif(orientation))
  const chunk = joined(number(content.length - 4), content, number(crc32(content)))
  return joined(png.subarray(0, 33), chunk, png.subarray(33))
}

/** As many programs write it: what the picture is first, the metadata behind its pixels. */
function webpWith(orientation: number, prefix = ''): Uint8Array {
  const pixels = bytesOf('lossless.webp').subarray(12)
  const content = joined(ascii(prefix), exif(orientation, true))
  const head = joined(ascii('VP8X'), number(10, true), [8, 0, 0, 0, 119, 0, 0, 79, 0, 0])
  const metadata = joined(ascii('EXIF'), number(content.length, true), content)
  const chunks = joined(head, pixels, metadata)
  return joined(ascii('RIFF'), number(chunks.length + 4, true), ascii('WEBP'), chunks)
}

/** With further properties of its one picture. */
function avifWith(...properties: readonly (readonly [name: string, value: number])[]): Uint8Array {
  const avif = bytesOf('picture.avif')
  const at = (name: string) => new TextDecoder('latin1').decode(avif).indexOf(name) - 4
  const view = new DataView(avif.buffer)
  const [end, more] = [at('ipma'), properties.length]
  for (const [name, growth] of [
    ['meta', more * 10],
    ['iprp', more * 10],
    ['ipco', more * 9],
    ['ipma', more],
  ] as const)
    view.setUint32(at(name), view.getUint32(at(name)) + growth)
  // Where the pixels are.
  const base = at('iloc') + 20
  view.setUint32(base, view.getUint32(base) + more * 10)
  const [count = 0] = avif.subarray(end + 18, end + 19)
  avif.set([count + more], end + 18)
  const boxes = properties.flatMap(([name, value]) => [...number(9), ...ascii(name), value])
  const named = properties.map((_, index) => 0x80 | (count + index + 1))
  const behind = end + 19 + count
  return joined(avif.subarray(0, end), boxes, avif.subarray(end, behind), named, avif.subarray(behind))
}

const small = 'width=32&height=32&method=crop'

/** The colours at the corners of the thumbnail, from the upper left by rows. */
async function cornersOf(file: Uint8Array): Promise<string> {
  const name = await upload(alice.accessToken, file)
  const path = `/_matrix/client/v1/media/thumbnail/${name}?${small}`
  const { status, bytes } = await ask(path, { token: alice.accessToken })
  expect(status).toBe(200)
  expect(new TextDecoder('latin1').decode(bytes)).not.toMatch(/Exif|eXIf|EXIF/)
  const picture = await pixelsOf(bytes)
  const { width, height } = picture
  const nameOf = ([r = 0, g = 0, b = 0]: readonly number[]) =>
    r > 128 && g > 128 ? 'w' : r > 128 ? 'r' : g > b ? 'g' : 'b'
  return [4, height - 5].flatMap((y) => [4, width - 5].map((x) => nameOf(pixelAt(picture, x, y)))).join('')
}

async function pixelsOf(bytes: Uint8Array): Promise<Pixels> {
  const { width, height, format } = pictureInfo(bytes) ?? { width: 0, height: 0, format: undefined }
  if (format === 'image/jpeg') return { width, height, data: Uint8Array.from(decode(bytes, { useTArray: true }).data) }
  const sink = downscaler(width, height, { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height })
  expect(await decodePng(bytes, sink)).toBe(true)
  return sink.result()
}

/** How red, green, blue and white stand when the file says that they were held like that. */
const held = [
  [1, 'rgbw'],
  [2, 'grwb'],
  [3, 'wbgr'],
  [4, 'bwrg'],
  [5, 'rbgw'],
  [6, 'brwg'],
  [7, 'wgbr'],
  [8, 'gwrb'],
] as const

describe.each(held)('held as %i', (orientation, corners) => {
  it('a PNG', async () => {
    expect(await cornersOf(pngWith(orientation))).toBe(corners)
  })

  it.each(['', 'Exif\0\0'])('a WebP, its metadata beginning with %j', async (prefix) => {
    expect(await cornersOf(webpWith(orientation, prefix))).toBe(corners)
  })
})

describe('an AVIF is turned, then mirrored', () => {
  it.each<readonly [corners: string, properties: (readonly [string, number])[]]>([
    ['gwrb', [['irot', 1]]],
    ['wbgr', [['irot', 2]]],
    ['brwg', [['irot', 3]]],
    ['bwrg', [['imir', 0]]],
    ['grwb', [['imir', 1]]],
    [
      'rbgw',
      [
        ['irot', 1],
        ['imir', 0],
      ],
    ],
    [
      'wgbr',
      [
        ['irot', 1],
        ['imir', 1],
      ],
    ],
    [
      'wgbr',
      [
        ['irot', 3],
        ['imir', 0],
      ],
    ],
  ])('%s by %j', async (corners, properties) => {
    expect(await cornersOf(avifWith(...properties))).toBe(corners)
  })
})

it('metadata that lead nowhere turn nothing', async () => {
  const [png, webp] = [pngWith(6), webpWith(6)]
  const broken = [
    pngWith(9),
    pngWith(0),
    // The directory lies outside.
    joined(png.subarray(0, 45), number(0xffff_fff0), png.subarray(49)),
    png.subarray(0, 50),
    joined(webp.subarray(0, webp.length - 26), [0, 0, 0, 0]),
    webp.subarray(0, webp.length - 20),
  ]
  for (const file of broken) {
    const { format } = pictureInfo(file) ?? {}
    expect(format && orientationOf(file, format)).toBe(1)
  }
})

it('what may be looked at again is not: its look is kept', async () => {
  const name = await upload(alice.accessToken, webpWith(8))
  const path = `/_matrix/client/v1/media/thumbnail/${name}?${small}`
  await ask(path, { token: alice.accessToken })
  const row = env.DB.prepare('SELECT picture FROM media WHERE media_id = ?').bind(name.split('/')[1])
  expect(JSON.parse((await row.first<string>('picture')) ?? '')).toEqual({
    format: 'image/webp',
    width: 120,
    height: 80,
    mayMove: false,
    orientation: 8,
    isBroken: false,
  })
})
