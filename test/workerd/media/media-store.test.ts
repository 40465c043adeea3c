/** How bytes get into R2. */
import { env } from 'cloudflare:workers'
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'

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

async function bytesOf(size: number): Promise<Uint8Array> {
  return new Uint8Array(await new Response(streamOf(size)).arrayBuffer())
}
