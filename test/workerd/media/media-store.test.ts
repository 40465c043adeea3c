/** How bytes get into R2. */
import { env } from 'cloudflare:workers'
import { createHash } from 'node:crypto'
import { expect, it, vi } from 'vitest'

import { chunkSize, inLargeChunks } from '../../../r2-media/large-chunks.ts'
import { openMediaWriter } from '../../../r2-media/media-store.ts'
import { streamOf } from './media.ts'

const mebibyte = 1024 * 1024

it.each([0, 1, 8 * mebibyte, 8 * mebibyte + 1, 16 * mebibyte, 17 * mebibyte + 5])(
  'keeps %i bytes as they came, in parts where they are many',
  async (size) => {
    const key = `local/of-${size}-bytes`
    const writer = openMediaWriter(env.MEDIA, key, size)
    const hash = createHash('sha256')
    for await (const chunk of streamOf(size, 700_001)) {
      hash.update(chunk)
      expect(await writer.write(chunk)).toBe(true)
    }
    expect(await writer.finish()).toEqual({ size, sha256: hash.digest('base64url') })
    const object = await env.MEDIA.get(key)
    const bytes = new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer())
    expect(createHash('sha256').update(bytes).digest()).toEqual(
      createHash('sha256')
        .update(await bytesOf(size))
        .digest(),
    )
  },
)

it('takes not one byte more than the limit, and leaves nothing of what it had', async () => {
  const limit = 9 * mebibyte
  const writer = openMediaWriter(env.MEDIA, 'local/too-large', limit)
  let taken = true
  for await (const chunk of streamOf(limit + 1, mebibyte)) taken = await writer.write(chunk)
  expect(taken).toBe(false)
  await writer.abort()
  expect(await env.MEDIA.head('local/too-large')).toBeNull()
})

/** The bucket, and what goes on in it: a part arrives when it is let through. */
function slowBucket() {
  const log: string[] = []
  const gates: (() => void)[] = []
  const override = <T extends object>(target: T, methods: Readonly<Record<string, (...args: never[]) => unknown>>): T =>
    new Proxy(target, {
      get: (of, name) => {
        const value: unknown = methods[String(name)] ?? Reflect.get(of, name, of)
        return typeof value === 'function' && !methods[String(name)] ? value.bind(of) : value
      },
    })
  const bucket = override(env.MEDIA, {
    createMultipartUpload: async (key: string) => {
      const upload = await env.MEDIA.createMultipartUpload(key)
      const uploadPart = async (part: number, bytes: Uint8Array) => {
        log.push(`${part} begins`)
        await new Promise<void>((resolve) => gates.push(resolve))
        if (part === 3) throw new Error('the bucket is gone')
        const uploaded = await upload.uploadPart(part, bytes)
        log.push(`${part} is there`)
        return uploaded
      }
      return override(upload, { uploadPart })
    },
  })
  const letThrough = () => vi.waitFor(() => (gates.shift() ?? expect.unreachable('no part is on its way'))())
  return { bucket, log, letThrough }
}

it('fills the next part while one is on its way, and never sends two', async () => {
  const { bucket, log, letThrough } = slowBucket()
  const writer = openMediaWriter(bucket, 'local/slow', 100 * mebibyte)
  const part = new Uint8Array(8 * mebibyte)
  await writer.write(part)
  // The first is full with this, and this one waits for nobody.
  await writer.write(part)
  const third = writer.write(part).then(() => log.push('the third was taken'))
  await letThrough()
  await third
  await vi.waitFor(() => expect(log).toContain('2 begins'))
  expect(log).toEqual(['1 begins', '1 is there', expect.any(String), expect.any(String)])
  // A part that fails fails what comes next.
  const fourth = writer.write(part)
  await letThrough()
  await fourth
  const last = writer.finish().catch(String)
  await letThrough()
  expect(await last).toContain('the bucket is gone')
  await writer.abort()
  expect(await env.MEDIA.head('local/slow')).toBeNull()
})

it.each([0, 5, chunkSize, chunkSize + 1, 3 * chunkSize + 7])(
  '%i bytes of a request come in large pieces',
  async (size) => {
    const bytes = new Uint8Array(size).map((_, n) => n * 7)
    const { readable, writable } = new FixedLengthStream(size)
    const writer = writable.getWriter()
    const wrote = (async () => {
      for (let at = 0; at < size; at += 4096) await writer.write(bytes.subarray(at, at + 4096))
      await writer.close()
    })()
    const pieces: Uint8Array[] = []
    for await (const piece of inLargeChunks(readable)) pieces.push(piece)
    await wrote
    expect(new Uint8Array(await new Blob(pieces).arrayBuffer())).toEqual(bytes)
    expect(pieces).toHaveLength(Math.ceil(size / chunkSize))
  },
)

async function bytesOf(size: number): Promise<Uint8Array> {
  return new Uint8Array(await new Response(streamOf(size)).arrayBuffer())
}
