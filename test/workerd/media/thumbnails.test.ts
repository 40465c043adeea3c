/** Thumbnails. Spec: client-server-api/#thumbnails. */
import { env } from 'cloudflare:workers'
import { decode } from 'jpeg-js'
import { beforeAll, describe, expect, it } from 'vitest'

import { downscaler, type Pixels } from '../../../r2-media/downscale.ts'
import { pictureInfo } from '../../../r2-media/picture-info.ts'
import { decodePng, encodePng } from '../../../r2-media/png.ts'
import { planFor, sizeFor } from '../../../r2-media/thumbnails.ts'
import { registerUser, type User } from '../client.ts'
import { ask, upload } from './media.ts'
import { gif, jpegOf, painted, pixelAt, redAndBlue } from './pictures.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})

const thumbnail = (file: string, query: string) =>
  ask(`/_matrix/client/v1/media/thumbnail/${file}?${query}`, { token: alice.accessToken })

/** Decodes a PNG at its own size. */
async function pixelsOf(bytes: Uint8Array): Promise<Pixels> {
  const { width, height } = pictureInfo(bytes) ?? { width: 0, height: 0 }
  const whole = { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height }
  const sink = downscaler(width, height, whole)
  expect(await decodePng(bytes, sink)).toBe(true)
  return sink.result()
}

describe('a thumbnail', () => {
  it('keeps the shape when scaled, and is not smaller than wished for', async () => {
    const file = await upload(alice.accessToken, encodePng(redAndBlue(600, 200)), { type: 'image/png', name: 'a.png' })
    const { status, headers, bytes } = await thumbnail(file, 'width=64&height=64&method=scale')
    expect([status, headers.get('Content-Type')]).toEqual([200, 'image/png'])
    expect(headers.get('Content-Disposition')).toBe('inline')
    const picture = await pixelsOf(bytes)
    expect([picture.width, picture.height]).toEqual([288, 96])
    expect(pixelAt(picture, 10, 50)).toEqual([255, 0, 0, 255])
    expect(pixelAt(picture, 280, 50)).toEqual([0, 0, 255, 255])
  })

  it('shows the middle when cropped', async () => {
    const file = await upload(
      alice.accessToken,
      encodePng(painted(300, 100, (x) => (x >= 100 && x < 200 ? [0, 255, 0, 255] : [9, 9, 9, 255]))),
    )
    const picture = await pixelsOf((await thumbnail(file, 'width=32&height=32&method=crop')).bytes)
    expect([picture.width, picture.height]).toEqual([32, 32])
    for (const [x, y] of [
      [1, 1],
      [16, 16],
      [30, 30],
    ] as const)
      expect(pixelAt(picture, x, y)).toEqual([0, 255, 0, 255])
  })

  it('is made once and kept', async () => {
    const file = await upload(alice.accessToken, encodePng(redAndBlue(300, 300)))
    const first = await thumbnail(file, 'width=32&height=32&method=crop')
    const made = async () => (await env.MEDIA.list({ prefix: 'thumbnail/' })).objects.length
    const before = await made()
    for (const query of ['width=32&height=32&method=crop', 'width=10&height=10&method=crop']) {
      expect((await thumbnail(file, query)).bytes).toEqual(first.bytes)
    }
    expect(await made()).toBe(before)
  })

  it.each([
    [1, 256, 96, 'left'],
    [3, 256, 96, 'right'],
    [6, 96, 256, 'top'],
    [8, 96, 256, 'bottom'],
  ] as const)('of a photo stands upright, however the camera was held: %i', async (orientation, width, height, red) => {
    const photo = jpegOf(redAndBlue(512, 192), orientation)
    const file = await upload(alice.accessToken, photo, { type: 'image/jpeg' })
    const { headers, bytes } = await thumbnail(file, 'width=96&height=96&method=scale')
    expect(headers.get('Content-Type')).toBe('image/jpeg')
    const picture = decode(bytes, { useTArray: true })
    expect([picture.width, picture.height]).toEqual([width, height])
    const corner = { left: [5, 5], top: [5, 5], right: [width - 5, 5], bottom: [5, height - 5] }[red]
    const [r = 0, , b = 0] = pixelAt(
      { ...picture, data: Uint8Array.from(picture.data) },
      corner[0] ?? 0,
      corner[1] ?? 0,
    )
    expect([r > 200, b < 60]).toEqual([true, true])
    expect(new TextDecoder('latin1').decode(bytes)).not.toContain('Exif')
  })

  it('of a small picture is the picture, as what it is and not as what it was called', async () => {
    const small = encodePng(redAndBlue(20, 20))
    const file = await upload(alice.accessToken, small, { type: 'text/html', name: 'a.html' })
    const { bytes, headers } = await thumbnail(file, 'width=32&height=32')
    expect(bytes).toEqual(small)
    expect(headers.get('Content-Type')).toBe('image/png')
    const dot = await upload(alice.accessToken, gif, { type: 'image/gif' })
    for (const animated of ['', '&animated=true', '&animated=false'])
      expect((await thumbnail(dot, `width=32&height=32${animated}`)).bytes).toEqual(gif)
  })

  it('is not made of what is no picture, whatever it is called', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    const whole = encodePng(redAndBlue(300, 300))
    const cut = whole.subarray(0, whole.byteLength - 60)
    for (const body of [svg, '', 'GIF8', '%!PS', new Uint8Array([0xff, 0xd8, 0xff, 0xc0, 0, 0])]) {
      const file = await upload(alice.accessToken, body, { type: 'image/png' })
      const { status, errcode } = await thumbnail(file, 'width=32&height=32')
      expect({ status, errcode }).toEqual({ status: 400, errcode: 'M_UNKNOWN' })
    }
    // Broken inside: nothing is made of it, but it is small and looks like a picture.
    const file = await upload(alice.accessToken, cut)
    expect((await thumbnail(file, 'width=32&height=32')).bytes).toEqual(cut)
  })

  it('is not decoded from a picture that says it is gigantic', async () => {
    const bomb = encodePng(redAndBlue(300, 300))
    new DataView(bomb.buffer).setUint32(16, 100_000)
    new DataView(bomb.buffer).setUint32(20, 100_000)
    const file = await upload(alice.accessToken, bomb)
    expect((await thumbnail(file, 'width=32&height=32')).bytes).toEqual(bomb)
    expect((await env.MEDIA.list({ prefix: 'thumbnail/' })).objects.map(({ size }) => size)).not.toContain(0)
  })

  it.each(['', 'width=32', 'width=32&height=x', 'width=-1&height=32', 'width=0&height=1', 'width=1.5&height=3'])(
    'is not made for a wish that makes no sense: %s',
    async (query) => {
      const file = await upload(alice.accessToken, encodePng(redAndBlue(40, 40)))
      expect((await thumbnail(file, query)).status).toBe(400)
    },
  )

  it('needs a token, and media that is there', async () => {
    expect((await ask('/_matrix/client/v1/media/thumbnail/test.local/x?width=1&height=1')).status).toBe(401)
    expect((await thumbnail('test.local/unknown', 'width=1&height=1')).status).toBe(404)
  })
})

describe('sizes', () => {
  it('are few, and never smaller than the wish', () => {
    expect(sizeFor({ width: 33, height: 33, method: 'crop' })).toEqual({ width: 96, height: 96, method: 'crop' })
    expect(sizeFor({ width: 300, height: 200, method: 'crop' })).toMatchObject({ width: 320, method: 'scale' })
    expect(sizeFor({ width: 700, height: 700, method: 'scale' })).toBeUndefined()
    expect(planFor({ width: 90, height: 500 }, { width: 96, height: 96, method: 'crop' })).toBeUndefined()
  })
})

describe('PNG', () => {
  it('comes out as it went in', async () => {
    const picture = painted(37, 19, (x, y) => [x * 6, y * 13, (x * y) % 256, x === y ? 0 : 255])
    const again = await pixelsOf(encodePng(picture))
    expect(pixelAt(again, 5, 7)).toEqual([30, 91, 35, 255])
    expect(pixelAt(again, 7, 7)[3]).toBe(0)
  })
})
