/** Thumbnails by Cloudflare's Images, here played by a fake of its interface that writes down what it is asked for. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'

import { newStorageKey } from '../../../r2-media/media-key.ts'
import { encodePng } from '../../../r2-media/png.ts'
import type { StoredMedia } from '../../../worker/accounts/media.ts'
import type { PictureLook } from '../../../r2-media/picture-look.ts'
import type { Env } from '../../../worker/env.ts'
import { serveMedia } from '../../../worker/media/serve-media.ts'
import { thumbnailOf, wishOf } from '../../../worker/media/thumbnail.ts'
import pictures from '../../fixtures/media/pictures.json' with { type: 'json' }
import { counting } from './media.ts'
import { jpegOf, redAndBlue } from './pictures.ts'

interface Job {
  readonly bytes: number
  readonly transforms: readonly ImageTransform[]
  readonly output: ImageOutputOptions
}

/** Answers with `answer`, or as Images fails: by throwing. */
function fakeImages(answer: Response | undefined) {
  const jobs: Job[] = []
  const input = (stream: ReadableStream<Uint8Array>, transforms: readonly ImageTransform[] = []): ImageTransformer => ({
    transform: (next) => input(stream, [...transforms, next]),
    draw: () => {
      throw new TypeError('nothing is drawn')
    },
    async output(output) {
      const { byteLength } = await new Response(stream).arrayBuffer()
      jobs.push({ bytes: byteLength, transforms, output })
      if (!answer) throw new Error('9412: not an image')
      const body = await answer.clone().arrayBuffer()
      return {
        response: () => new Response(body, answer),
        contentType: () => output.format,
        image: () => new Blob([body]).stream(),
      }
    },
  })
  return { jobs, service: { input: (stream: ReadableStream<Uint8Array>) => input(stream) } }
}

async function stored(bytes: Uint8Array): Promise<StoredMedia> {
  const storageKey = newStorageKey('local')
  await env.MEDIA.put(storageKey, bytes)
  return { storageKey, contentType: 'image/png', fileName: null, size: bytes.byteLength, sha256: storageKey.slice(6) }
}

const fixture = (name: keyof typeof pictures) => Uint8Array.from(atob(pictures[name]), (c) => c.charCodeAt(0))
const wish = (query: string) => wishOf(new URLSearchParams(query))
const small = 'width=32&height=32&method=crop'
const done = () => new Response('a thumbnail')

describe('where Images is bound', () => {
  let photo: StoredMedia
  beforeAll(async () => {
    photo = await stored(jpegOf(redAndBlue(400, 300)))
  })

  it.each<readonly [string, () => Promise<StoredMedia>, string, ImageTransform, ImageOutputOptions]>([
    ['crops', () => Promise.resolve(photo), small, { width: 32, height: 32 }, { format: 'image/jpeg', anim: false }],
    [
      'keeps the shape',
      () => Promise.resolve(photo),
      'width=90&height=90',
      { width: 128, height: 96 },
      { format: 'image/jpeg', anim: false },
    ],
    [
      'turns a photo that lies on its side',
      () => stored(jpegOf(redAndBlue(400, 200), 6)),
      'width=90&height=90',
      { width: 96, height: 192 },
      { format: 'image/jpeg', anim: false },
    ],
    [
      'keeps what is transparent',
      () => stored(fixture('translucent.avif')),
      small,
      { width: 32, height: 32 },
      { format: 'image/png', anim: false },
    ],
    [
      'lets move what may',
      () => stored(fixture('animated.gif')),
      `${small}&animated=true`,
      { width: 32, height: 32 },
      { format: 'image/webp', anim: true },
    ],
    [
      'brings to a stand',
      () => stored(fixture('animated.gif')),
      small,
      { width: 32, height: 32 },
      { format: 'image/png', anim: false },
    ],
  ])('it %s', async (_, media, query, transform, output) => {
    const { jobs, service } = fakeImages(done())
    const whole = await media()
    const made = await thumbnailOf({ ...env, IMAGES: service }, whole, wish(query), 'too_large')
    expect(jobs).toEqual([
      { bytes: whole.size, transforms: [{ ...transform, fit: 'cover', gravity: 'center' }], output },
    ])
    expect([made?.contentType, new TextDecoder().decode(made?.bytes)]).toEqual([output.format, 'a thumbnail'])
  })

  it('is asked once, and R2 is read once for the second view and written never', async () => {
    const { jobs, service } = fakeImages(done())
    const media = await stored(jpegOf(redAndBlue(300, 300)))
    const asked: string[] = []
    const counted: Env = { ...env, IMAGES: service, MEDIA: counting(env.MEDIA, asked) }
    let look: PictureLook | undefined
    const note = (seen: PictureLook) => Promise.resolve(void (look = seen))
    await thumbnailOf(counted, media, wish(small), 'too_large', note)
    expect([jobs.length, asked.filter((name) => name === 'put').length]).toEqual([1, 1])
    asked.length = 0
    const kept = await thumbnailOf(counted, { ...media, look }, wish(small), 'too_large')
    const answer = kept && (await serveMedia(new Request('http://test.local/'), counted, kept))
    expect([await answer?.text(), asked, jobs.length]).toEqual(['a thumbnail', ['get'], 1])
  })

  it.each([undefined, new Response('', { status: 500 }), new Response('')])(
    'and fails, the thumbnail is made here',
    async (answer) => {
      const { jobs, service } = fakeImages(answer)
      const media = await stored(encodePng(redAndBlue(300, 300)))
      const made = await thumbnailOf({ ...env, IMAGES: service }, media, wish(small), 'too_large')
      expect([jobs.length, made?.contentType]).toEqual([1, 'image/png'])
      expect(made?.bytes?.slice(1, 4)).toEqual(new TextEncoder().encode('PNG'))
    },
  )

  it('is not asked about what is no picture, gigantic or small already', async () => {
    const { jobs, service } = fakeImages(done())
    const bound = { ...env, IMAGES: service }
    const page = await stored(new TextEncoder().encode('<svg onload=alert(1)>'))
    await expect(thumbnailOf(bound, page, wish(small), 'too_large')).rejects.toMatchObject({
      failure: { reason: 'cannot_thumbnail' },
    })
    const gigantic = fixture('rgb.png')
    new DataView(gigantic.buffer).setUint32(16, 50_000)
    new DataView(gigantic.buffer).setUint32(20, 50_000)
    for (const bytes of [gigantic, encodePng(redAndBlue(20, 20))]) {
      const media = await stored(bytes)
      expect((await thumbnailOf(bound, media, wish(small), 'too_large'))?.storageKey).toBe(media.storageKey)
    }
    expect(jobs).toEqual([])
  })
})
